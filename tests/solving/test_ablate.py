"""Ablation: arms that differ by the rule alone, the same dev rows, equal tokens, and a result that says what it saw."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hone.attempts import prepare_bench, tokens_per_step
from hone.data.making import record
from hone.data.prepare import prepare
from hone.errors import InputError
from hone.solving import ablate as ablation
from hone.solving.ablate import equal_steps
from hone.solving.arms import BASE, arms_of
from hone.solving.defaults import default_recipe
from hone.task.load import load_task
from hone.task.spec import Clean, Task

BANKING = Path(__file__).resolve().parent.parent / "data" / "banking"


def with_clean(task: Task, **clean: Any) -> Task:
    return task.model_copy(update={"clean": Clean.model_validate(clean)})


def test_arms_differ_by_the_rows_that_the_rule_removes(tmp_path: Path) -> None:
    folder = shutil.copytree(BANKING, tmp_path / "banking")
    said: list[str] = []
    base, chance, duplicate = arms_of(load_task(folder), folder, ["chance-10", "duplicate"], said.append)
    assert base.name == BASE
    # Without any of the rules the one duplicate of the cut is there.
    assert duplicate.removed == 1
    assert 0.03 * len(base.data.train) < chance.removed < 0.2 * len(base.data.train)
    for arm in (chance, duplicate):
        assert {row.id for row in arm.data.train} < {row.id for row in base.data.train}
        assert arm.data.dev == base.data.dev
        assert arm.data.id != base.data.id
    assert said[0].startswith(f"chance-10: removes {chance.removed} of {len(base.data.train)} training rows")


def test_arms_of_shorter_rows_take_more_steps_for_as_many_tokens(tmp_path: Path) -> None:
    """Half of the answers are five times as long as the others, and the arm lacks the long ones."""
    rows = [{"q": f"a b c d {n}", "a": "e f g h " * (1 if n % 2 else 5)} for n in range(60)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = {"task": "t", "kind": "generate", "input": "{q}", "output": "{a}", "target": 0.5}
    task = Task.model_validate({**spec, "data": {"train": "rows.jsonl", "dev": 2}, "clean": {"preset": "none"}})
    data = prepare(task, tmp_path, tmp_path / ".hone" / "cache", lambda line: None)
    recipe = default_recipe(task, data, seed=0, threads=1).child(batch_size=1)
    short = replace(data, id="0" * 12, train=tuple(row for row in data.train if len(row.fields["a"]) < 10))
    assert 0 < len(short.train) < len(data.train)
    counted, means = [], []
    for one in (data, short):
        order = {"folder": str(tmp_path), "task": task, "data": one, "recipe": recipe.child(data=one.id)}
        counted.append(tokens_per_step(SimpleNamespace(send=lambda event: None), order))  # type: ignore[arg-type]
        bench = prepare_bench(task, one, order["recipe"], tmp_path / ".hone" / "cache", lambda line: None)
        means.append(bench.train.num_tokens / len(one.train))  # type: ignore[attr-defined]
    assert counted == means  # one row a step
    assert counted[0] > counted[1]
    steps = equal_steps(1000, *counted)
    assert steps > 1000
    assert steps * counted[1] == pytest.approx(1000 * counted[0], rel=0.001)
    assert equal_steps(410, 71, 41) == 710
    assert equal_steps(1, 1, 1000) == 1


def test_a_rule_of_the_users_own_is_off_in_the_base_and_on_in_its_arm(tmp_path: Path) -> None:
    folder = shutil.copytree(BANKING, tmp_path / "banking")
    (folder / "checks.py").write_text("def signs(text: str) -> int: return len(text)\n")
    own = {"column": "own:checks:signs", "max": 60, "source": "mine"}
    task = with_clean(load_task(folder), rules={"brief": own, "duplicate": {"absent": True}})
    base, brief = arms_of(task, folder, ["brief"], lambda line: None)
    assert any(len(row.fields["text"]) > 60 for row in base.data.train)
    assert {row.id for row in brief.data.train} == {row.id for row in base.data.train if len(row.fields["text"]) <= 60}


def test_after_an_undo_the_rules_are_those_of_the_earlier_version(tmp_path: Path) -> None:
    folder = shutil.copytree(BANKING, tmp_path / "banking")
    task = with_clean(load_task(folder), rules={"duplicate": False})
    version = record(folder, prepare(task, folder, folder / ".hone" / "cache", lambda line: None))
    said: list[str] = []
    pinned = with_clean(load_task(folder), version=version.id)
    base, chance = arms_of(pinned, folder, ["chance-10"], said.append)
    assert said[0] == f"rules are those of data version {version.id} (clean.version in hone.yaml)"
    # That version keeps the one duplicate of the cut; the preset would not.
    today = arms_of(load_task(folder), folder, ["chance-10"], lambda line: None)[0]
    assert len(base.data.train) == len(today.data.train) + 1
    assert chance.removed > 0


def test_what_earlier_calls_used_of_the_box_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "trials.json"
    trials = ablation.Trials.open(path, time.monotonic() - 50)
    trials.save()
    again = ablation.Trials.open(path, time.monotonic())
    assert again.deadline(1) - time.monotonic() == pytest.approx(10, abs=1)


@pytest.mark.parametrize("minutes", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_box_that_is_none_is_refused_before_anything_is_read(minutes: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"--minutes {minutes:g}: .*above 0\n.*--seeds 11: .*at most 10"):
        ablation.ablate(tmp_path / "nowhere", ["duplicate"], minutes=minutes, seeds=11)


def test_a_box_too_small_for_three_seeds_is_refused_with_one_that_is_not() -> None:
    """Two sets with three seeds, two at a time, are three times 60 steps of a second and two for the start: 186 s."""
    rate, now = {"step_s": 1.0, "final_s": 0.0}, time.monotonic()
    with pytest.raises(InputError, match=r"60 s of the box are left, .* about 186 s .* --minutes 5$"):
        ablation._check_room(rate, 2, (now + 60.5, 3, 2), now)
    ablation._check_room(rate, 2, (now + 190, 3, 2), now)


def test_rules_that_are_unknown_or_remove_nothing_are_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(BANKING, tmp_path / "banking")
    with pytest.raises(InputError, match='no rule has this name; did you mean "duplicate"'):
        ablation.ablate(folder, ["duplicat"])
    with pytest.raises(InputError, match="known: ") as unknown:
        ablation.ablate(folder, ["xyzzy"])
    known = str(unknown.value).partition("known: ")[2].split(", ")
    assert len(known) == len(set(known)) > 30
    with pytest.raises(InputError, match=r"empty removes 0 of \d+ training rows: there is nothing to compare"):
        ablation.ablate(folder, ["empty"])
    with pytest.raises(InputError, match="--seeds 2: an interval needs 3 seeds"):
        ablation.ablate(folder, ["duplicate"], seeds=2)


@pytest.mark.slow
def test_a_rule_is_judged_by_models_trained_with_and_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "LEAST_STEPS", 3)
    monkeypatch.setattr(ablation, "MOST_EPOCHS", 0.3)
    monkeypatch.setattr(ablation, "MOST_SEEDS", 3)
    monkeypatch.setattr(ablation, "CALIBRATE_S", 0.5)
    folder = shutil.copytree(BANKING, tmp_path / "banking")
    result = ablation.ablate(folder, ["chance-10"], minutes=10)
    (rule,) = result["rules"]
    assert rule["difference"]["seeds"] == 3
    assert rule["difference"]["low"] <= rule["difference"]["mean"] <= rule["difference"]["high"]
    assert rule["difference"]["mean"] == pytest.approx(rule["with"] - rule["without"], abs=1e-9)
    assert rule["difference"]["detectable"] > 0
    # Repeated, nothing is trained again.
    said: list[str] = []
    again = ablation.ablate(folder, ["chance-10"], minutes=10, say=said.append)
    assert again["rules"] == result["rules"]
    assert not any("seed" in line for line in said)
