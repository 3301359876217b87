"""Keys of a recipe that the loop acts on: each acts, or is refused by a sentence."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import RECIPE, SHAPE, examples, fresh_each_epoch, judge, model, small_fit, weights_hash
from torch import nn

from hone.errors import FailedError, InputError
from hone.model.presets import from_scratch
from hone.task.scores import Score
from hone.train import compiling, fabric, measuring
from hone.train.engine import fit
from hone.train.horizon import FixedHorizon
from hone.train.measuring import PARTS, Stopwatch
from hone.train.objectives import NextToken
from hone.train.overseeing import MOST_REWINDS
from hone.train.records import Judgement
from hone.train.source import BatchSource
from hone.train.watching import Rewind, Say, StepView, Stop, Verdict, Watcher

EACH = RECIPE.child(eval_every=1, average=0.0)


def scored(values: list[float]) -> Any:
    """An evaluation that gives these values by step."""

    def evaluate(module: nn.Module, step: int) -> Judgement:
        del module
        return Judgement(score=Score(name="m", mean=values[step], low=0, high=9, n=1))

    return evaluate


# Early stopping.


def test_two_evaluations_that_are_no_better_end_the_run(tmp_path: Path) -> None:
    values = [0.1, 0.3, 0.5, 0.4, 0.6, 0.6, 0.2, 0.9, 0.9, 0.9, 0.9]
    said: list[str] = []
    recipe = EACH.child(early_stop=2)
    _, result = small_fit(tmp_path, recipe, evaluate=scored(values), say=said.append)
    assert (result.status, result.step, result.best.step) == ("finished", 6, 4)
    assert "2 evaluations in a row" in result.reason
    assert result.reason in said
    again = small_fit(tmp_path, recipe, evaluate=scored(values))[1]
    assert (again.status, again.step, again.loss) == ("finished", 6, None)


def test_early_stopping_without_a_judge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"early_stop is 2.*nothing judges"):
        small_fit(tmp_path, EACH.child(early_stop=2))


# What is kept, and room for it.


def test_so_many_states_are_kept_and_the_fixed_one_that_a_rewind_needs(tmp_path: Path) -> None:
    small_fit(tmp_path / "three", RECIPE.child(keep_states=3), save_every=1)
    assert steps(tmp_path / "three") == [8, 9, 10]
    small_fit(tmp_path / "one", RECIPE.child(keep_states=1, on_spike="rewind"), save_every=1, until_step=8)
    assert steps(tmp_path / "one") == [5, 8]


class Decides(FixedHorizon):
    """Decides in the third step to end at the eighth, and to stay with it."""

    end, decided_at = 10_000, -1

    def wish(self, step: int) -> int:
        return 8 if step == 2 else 0

    def settle(self, step: int, end: int) -> None:
        self.decided_at, self.end = step, end


def test_the_step_at_which_an_end_is_decided_is_saved_and_so_is_each_interval_that_is_never_judged(
    tmp_path: Path,
) -> None:
    """A run that goes on repeats what it had decided; judged at its end alone, it would begin at its first step."""
    recipe = RECIPE.child(eval_every=1000, keep_states=9)
    small_fit(tmp_path, recipe, save_every=5, horizon=Decides(recipe))
    assert steps(tmp_path) == [3, 5, 8]


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name[5:]) for path in (folder / "checkpoints").glob("step-*"))


def test_a_disk_without_room_is_refused_before_step_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    said: list[str] = []
    small_fit(tmp_path / "free", RECIPE.child(keep_states=4), say=said.append)
    on_disk = [path.stat().st_size for path in (tmp_path / "free").rglob("state.safetensors")]
    told = float(next(line for line in said if line.startswith("checkpoints:")).split()[1])
    # What is told is what then lies there, but for the names and the generators' states.
    assert told * 1e6 == pytest.approx(max(on_disk), rel=0.1, abs=60_000)
    free = 4 * max(on_disk)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - free, free))
    small_fit(tmp_path / "two", RECIPE.child(keep_states=1))
    with pytest.raises(FailedError, match=r"MB free, and 10 states.*lower keep_states \(now 9\)"):
        small_fit(tmp_path / "nine", RECIPE.child(keep_states=9))
    assert not list((tmp_path / "nine" / "checkpoints").glob("step-*"))


def test_a_state_of_another_base_is_refused(tmp_path: Path) -> None:
    recipe = RECIPE.child(base="some/base")
    source = BatchSource.of_recipe(fresh_each_epoch, recipe)
    fit(model(0), source, recipe, tmp_path, until_step=2)
    with pytest.raises(InputError, match=r"the base's weights have the id \w+ in the checkpoint and \w+ now"):
        fit(model(1), source, recipe, tmp_path)
    assert fit(model(0), source, recipe, tmp_path, until_step=3).step == 3


def test_a_state_of_another_shape_is_refused(tmp_path: Path) -> None:
    small_fit(tmp_path, until_step=2)
    other = model()
    other.extra = nn.Linear(2, 2)
    with pytest.raises(InputError, match=r"extra\.bias is in the model and not in the file"):
        fit(other, BatchSource.of_recipe(fresh_each_epoch, RECIPE), RECIPE, tmp_path)


# Watchers.


class Verdicts(Watcher):
    """Gives a verdict at each step that it is asked about."""

    name = "verdicts"

    def __init__(self, verdict: Verdict, *, every: int = 1, before: bool = True) -> None:
        self.verdict, self.every, self.before = verdict, every, before
        self.asked: list[int] = []

    def before_update(self, view: StepView) -> Verdict | None:
        self.asked.append(view.record.step)
        return self.verdict if self.before else None

    def after_step(self, view: StepView) -> Verdict | None:
        return None if self.before else self.verdict


def test_a_watcher_sees_each_nth_step_and_its_lines_change_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    watcher = Verdicts(Say("a line"), every=3)
    watched = small_fit(tmp_path / "watched", watchers=[watcher], say=said.append)[0]
    assert watcher.asked == [3, 6, 9]
    assert said.count("a line") == 3
    assert watched == small_fit(tmp_path / "plain")[0]


@pytest.mark.parametrize(("before", "step"), [(True, 5), (False, 7)])
def test_a_stop_saves_and_goes_on_without_the_watcher(tmp_path: Path, before: bool, step: int) -> None:
    _, result = small_fit(tmp_path, watchers=[Verdicts(Stop("enough"), every=7, before=before)])
    assert (result.status, result.step, result.reason) == ("stopped", step, "enough")
    assert steps(tmp_path)[-1] == step
    assert small_fit(tmp_path)[0] == small_fit(tmp_path / "plain")[0]


def test_rewinds_are_bounded(tmp_path: Path) -> None:
    events: list[Any] = []
    recipe = RECIPE.child(on_spike="rewind")
    _, result = small_fit(tmp_path, recipe, watchers=[Verdicts(Rewind("up"), every=7)], on_guard=events.append)
    assert (result.status, result.step, len(result.passed_over)) == ("stopped", 5, MOST_REWINDS)
    assert "passing over rows does not cure it: lower learning_rate" in result.reason
    assert [(event["kind"], event["step"], event["back_to"]) for event in events] == [("rewound", 7, 5)] * MOST_REWINDS


@pytest.mark.parametrize("wanted", ["say", "ignore"])
def test_a_rewind_that_is_not_wanted_is_a_line_or_nothing(tmp_path: Path, wanted: str) -> None:
    said: list[str] = []
    recipe = RECIPE.child(on_spike=wanted)
    _, result = small_fit(tmp_path, recipe, watchers=[Verdicts(Rewind("up"), every=7)], say=said.append)
    assert (result.status, result.passed_over) == ("finished", ())
    assert any("step 7: up; on_spike is say" in line for line in said) == (wanted == "say")


# Precision, checkpointing, compiling.


def test_precision_is_chosen_by_the_device_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    auto = RECIPE.child(precision="auto")
    result = small_fit(tmp_path, auto, until_step=1)[1]
    assert result.used["precision"] == "32-true"
    assert result.used["precision_reason"].startswith("a CPU")
    monkeypatch.setattr(fabric, "accelerator", lambda: "cuda")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A GPU")
    for capability, expected in (((7, 5), "32-true"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda found=capability: found)
        precision, reason = fabric.precision_of(auto)
        assert precision == expected
        assert f"capability {capability[0]}.{capability[1]}" in reason
    monkeypatch.setattr(fabric, "accelerator", lambda: "mps")
    assert fabric.precision_of(auto)[0] == "32-true"
    assert fabric.precision_of(RECIPE.child(precision="bf16-mixed"))[0] == "bf16-mixed"


def test_compiling_is_chosen_by_device_size_and_length_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of 6 * parameters * tokens at 100 TFLOP/s against a minute."""

    class Source:
        def tokens_per_step(self, epoch: int) -> float:
            return 1e5

    class Large(nn.Module):
        def parameters(self, recurse: bool = True) -> Any:
            return iter([torch.empty(100_000_000, device="meta")])

    source: Any = Source()
    auto = RECIPE.child(compile="auto")
    assert compiling.compile_of(RECIPE, Large(), source) == (False, "the recipe says so")
    compiles, why = compiling.compile_of(auto.child(steps=100_000), Large(), source)
    assert not compiles
    assert why.startswith("a CPU")
    monkeypatch.setattr(compiling, "accelerator", lambda: "cuda")
    # 6 * 1e8 * 1e5 = 6e13 operations a step, 0.15 s less of it saved: 400 steps save a minute.
    assert compiling.compile_of(auto.child(steps=390), Large(), source)[0] is False
    compiles, why = compiling.compile_of(auto.child(steps=410), Large(), source)
    assert compiles
    assert "6 * parameters * tokens" in why
    small, why = compiling.compile_of(auto.child(steps=100_000), nn.Linear(2, 2), source)
    assert not small
    assert "from 30,000,000 on" in why
    monkeypatch.setattr(compiling, "accelerator", lambda: "mps")
    assert compiling.compile_of(auto.child(steps=100_000), Large(), source)[0] is False


def test_the_largest_step_is_timed_before_the_first_one(tmp_path: Path) -> None:
    order: list[str] = []
    found: list[Any] = []
    timed = small_fit(
        tmp_path / "timed",
        until_step=2,
        on_rehearsal=lambda seen: (order.append("rehearsal"), found.append(seen)),
        on_step=lambda record: order.append("step"),
    )[0]
    assert order == ["rehearsal", "step", "step"]
    assert found[0].seconds > 0
    assert found[0].tokens >= BatchSource.of_recipe(fresh_each_epoch, RECIPE).tokens_per_step(0)
    assert timed == small_fit(tmp_path / "plain", until_step=2)[0], "timing changes no bit"


def test_mixed_precision_computes_in_bfloat16_and_keeps_weights_in_float32(tmp_path: Path) -> None:
    losses: dict[str, list[float]] = {"32-true": [], "bf16-mixed": []}
    for precision, seen in losses.items():
        module = model()
        recipe = RECIPE.child(precision=precision, average=0.0)
        source = BatchSource.of_recipe(fresh_each_epoch, recipe)
        fit(module, source, recipe, tmp_path / precision, on_step=lambda record, seen=seen: seen.append(record.loss))
        assert {param.dtype for param in module.parameters()} == {torch.float32}
    assert losses["32-true"] != losses["bf16-mixed"]
    # bfloat16 has 8 bits of mantissa.
    assert losses["32-true"] == pytest.approx(losses["bf16-mixed"], rel=2**-7)


def test_gradient_checkpointing_changes_no_bit_and_is_switched_off_again(tmp_path: Path) -> None:
    plain = small_fit(tmp_path / "plain")[0]
    module = model(dropout=0.2)
    recipe = RECIPE.child(gradient_checkpointing=True)
    fit(module, BatchSource.of_recipe(fresh_each_epoch, recipe), recipe, tmp_path / "checkpointed")
    assert weights_hash(module) == plain
    assert not module.is_activation_checkpointing


def test_gradient_checkpointing_where_a_model_offers_none_is_refused(tmp_path: Path) -> None:
    recipe = RECIPE.child(gradient_checkpointing=True)
    with pytest.raises(InputError, match=r"gradient_checkpointing is on, and Linear does not offer it"):
        fit(nn.Linear(2, 2), BatchSource.of_recipe(fresh_each_epoch, recipe), recipe, tmp_path)


def test_a_compiler_that_fails_leaves_the_run_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(function: Any, **options: Any) -> Any:
        def call(*arguments: Any) -> Any:
            raise RuntimeError("no C++ compiler was found")

        return call

    monkeypatch.setattr(compiling.torch, "compile", broken)
    said: list[str] = []
    compiled, result = small_fit(tmp_path / "compiled", RECIPE.child(compile=True), say=said.append)
    assert any("compile failed (RuntimeError: no C++ compiler was found)" in line for line in said)
    assert result.used["compiled_programs"] == 0
    assert compiled == small_fit(tmp_path / "plain")[0]


def test_a_compiled_run_makes_one_program_for_shapes_that_vary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The real tracer and its recompiling; what it traced is then run by torch instead of by a C++ compiler.
    monkeypatch.setattr(compiling.torch, "compile", functools.partial(torch.compile, backend="eager"))
    recipe = RECIPE.child(average=0.0, optimizer="adamw", packing=True, steps=4, accumulate=1)
    shape = dataclasses.replace(SHAPE, layers=1)
    losses: dict[bool, list[float]] = {False: [], True: []}
    said: list[str] = []
    for compiled, seen in losses.items():
        changed = recipe.child(compile=compiled)
        source = BatchSource.of_recipe(fresh_each_epoch, changed)
        folder = tmp_path / str(compiled)
        result = fit(
            from_scratch(shape, 0),
            source,
            changed,
            folder,
            on_step=lambda record, seen=seen: seen.append(record.loss),
            say=said.append,
        )
    # One without and one with positions of packed rows, or of a micro-batch of one row.
    assert 1 <= result.used["compiled_programs"] <= 4
    assert losses[True] == pytest.approx(losses[False], rel=1e-5)
    assert sum("compiled the forward and backward pass in" in line for line in said) == 1


def test_shapes_vary_where_rows_or_supervised_tokens_do() -> None:
    rows = examples(8, shortest=9, longest=9)
    alike = [[(row,) for row in rows[:4]], [(row,) for row in rows[4:]]]
    assert not compiling.shapes_vary(alike)
    assert compiling.shapes_vary([*alike, [(rows[0],)]])


# Time and memory.


def test_every_second_is_booked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: now[0])
    watch = Stopwatch()
    with watch.running("evaluation"):
        now[0] += 3
    watch.add("compute", 5)
    now[0] += 7
    assert watch.seconds() == {**dict.fromkeys(PARTS, 0.0), "evaluation": 3, "compute": 5, "other": 2}
    watch.go_on_from({"compute": 10, "saving": 1})
    assert watch.seconds()["compute"] == 15
    assert sum(watch.seconds().values()) == 10 + 11


def test_seconds_by_part_are_kept_over_a_pause(tmp_path: Path) -> None:
    first = small_fit(tmp_path, evaluate=judge, until_step=5)[1].seconds_by_part
    second = small_fit(tmp_path, evaluate=judge)[1].seconds_by_part
    assert set(first) == set(PARTS)
    assert all(second[part] >= first[part] > 0 for part in ("data", "compute", "evaluation", "start"))


def test_peak_memory_is_that_of_the_steps_of_this_run(tmp_path: Path) -> None:
    size = 150_000_000
    almost = size - 2**20
    kept: list[Any] = []

    class Greedy(NextToken):
        def loss(self, model: nn.Module, batch: Any) -> Any:
            assert np.ones(size, dtype=np.uint8)[-1] == 1
            return super().loss(model, batch)

    def greedy(module: nn.Module, step: int) -> Judgement:
        kept.append(np.ones(size // 4, dtype=np.uint8))  # what an evaluation leaves behind is not a step's either
        assert np.ones(2 * size, dtype=np.uint8)[-1] == 1
        return judge(module, step)

    before = np.ones(2 * size, dtype=np.uint8)
    del before
    modest = small_fit(tmp_path / "modest", evaluate=judge)[1].peak_bytes
    judged = small_fit(tmp_path / "judged", evaluate=greedy)[1].peak_bytes
    peak = small_fit(tmp_path / "greedy", evaluate=judge, objective=Greedy())[1].peak_bytes
    assert modest is not None
    assert judged is not None
    # A tiny model of two layers: some hundred kilobytes, and what the system counts in pages.
    assert modest < 20e6
    assert judged < 20e6
    assert almost < peak < size + 20e6


def test_the_peak_is_that_of_all_calls_also_behind_a_kill(tmp_path: Path) -> None:
    """Greedy in its first steps alone; the state holds the peak, should the end of the call be lost."""
    size = 100_000_000

    class Greedy(NextToken):
        def loss(self, model: nn.Module, batch: Any) -> Any:
            assert np.ones(size, dtype=np.uint8)[-1] == 1
            return super().loss(model, batch)

    run, killed = tmp_path / "run", tmp_path / "killed"
    assert (small_fit(run, evaluate=judge, until_step=5, objective=Greedy())[1].peak_bytes or 0) > 0.9 * size
    shutil.copytree(run, killed)
    (killed / "checkpoints" / "seconds.json").unlink()
    assert (small_fit(killed, evaluate=judge)[1].peak_bytes or 0) > 0.9 * size
    otherwise = small_fit(run, RECIPE.child(accumulate=1), evaluate=judge)[1].peak_bytes
    assert otherwise is not None
    assert otherwise < 0.5 * size, "a step that is computed otherwise has another peak"


def test_a_run_reports_what_it_computed_with(tmp_path: Path) -> None:
    used = small_fit(tmp_path, until_step=1)[1].used
    assert used["device"] == "cpu"
    assert (used["processes"], used["threads"], used["accumulate"], used["precision"]) == (1, 1, 2, "32-true")
