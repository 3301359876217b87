"""What a run will cost and what it starts from, said before its first step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hone.attempts.bench import Bench, base_of, build_model, source_of
from hone.attempts.calibrate import Speed, bench_of, by_heart, how_it_computes, judging_of, speed_of
from hone.attempts.rationing import ration_of, writes
from hone.processes import Channel
from hone.task.recipe import Recipe
from hone.task.render import task_marks
from hone.wording import counted, every

if TYPE_CHECKING:
    from torch import nn

    from hone.model.base import Base
    from hone.model.estimate import Figure
    from hone.train.rates import RateAdvice
    from hone.train.rehearsal import Rehearsal
    from hone.train.source import BatchSource


Say = Callable[[str], None]
MEMORY = "training memory"
"""The figure of :func:`hone.model.estimate.figures` that the measured peak is held against."""
JUDGED_ROWS, JUDGING_S = 32, 5.0
"""Dev rows that are judged to foretell what judging takes, where they take no longer than so many seconds."""
FIRST_STEPS = 10
"""Steps that the time to the end is told by, where nothing was measured before."""


@dataclass(frozen=True, kw_only=True)
class Before:
    """The lines for people, and the same as values."""

    lines: list[str]
    values: dict[str, Any]

    @property
    def estimated_bytes(self) -> int:
        """Training memory of one process as it is estimated."""
        return int(self.values[MEMORY])


def before_the_start(bench: Bench, model: nn.Module, source: BatchSource, speed: Speed | None = None) -> Before:
    """Starting point, figures, batches, optimizer and precision of a recipe on its data.

    Args:
        bench: the recipe with its data.
        model: the module that is about to be trained.
        source: its batches.
        speed: as measured here; without it the time is told by the rehearsal (:func:`time_line`).
    """
    from hone.train.fabric import forward_of
    from hone.train.optimizers import describe

    recipe = bench.recipe
    lines, values = _start(bench)
    computes, chosen = how_it_computes(recipe, model, source)
    found = _figures(bench, source, speed)
    lines += [figure.line() for figure in found]
    values |= {figure.name: figure.value for figure in found}
    supervised, real = source.supervised_tokens(0), sum(len(example.ids) for example in bench.train)
    lines.append(
        f"supervised tokens: {supervised:,} of {real:,} without padding in the {_examples(bench)} of an epoch "
        f"({supervised / real:.0%}); {counted(recipe.steps, 'step is', 'steps are')} "
        f"{recipe.steps / source.num_steps(0):.1f} epochs"
    )
    advice = rate_by_formula(bench, model, source)
    lines += [source.padding_line(0), *describe(model, recipe)]
    lines += [f"for comparison: {advice.line()}; the recipe has {recipe.learning_rate:g}"] if advice else []
    lines += [*computes, "forward pass: {}, {}".format(*forward_of(model, recipe))]
    values |= {
        **chosen,
        "rate_by_formula": None if advice is None else advice.to_json(),
        "supervised_tokens": supervised,
        "epoch_tokens": real,
        "steps_per_epoch": source.num_steps(0),
        "padding_share": source.padding_share(0),
    }
    return Before(lines=lines, values=values)


def _examples(bench: Bench) -> str:
    """What an epoch consists of, in words: a long document is several examples."""
    made = counted(len(bench.train), "example")
    documents = counted(len(bench.data.train), "document")
    return f"{made} (windows of {documents})" if bench.task.kind == "language-model" else made


def costs(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    """What a recipe would cost, with a speed measured over a moment; its lines go up the channel.

    ``order``: folder, task, data, recipe, ``seconds`` to train a copy that is thrown away.
    """
    import torch

    recipe = order["recipe"]
    torch.set_num_threads(recipe.threads)
    bench = bench_of(channel, order)
    model = build_model(recipe, bench.tokenizer, bench.data.labels)
    source = source_of(bench)
    guard = by_heart(bench, model, source)  # before the model is trained on all rows
    speed = speed_of(bench, model, source, recipe, order["seconds"])
    found = before_the_start(bench, model, source, speed)
    for line in (*found.lines, *_on_top(bench, model, source, speed), guard):
        channel.send({"kind": "line", "line": line})
    return {**found.values, "guard": guard}


def _on_top(bench: Bench, model: nn.Module, source: BatchSource, speed: Speed) -> list[str]:
    """What evaluations and checkpoints cost, which a real run says as it goes."""
    from hone.train.keeping import state_bytes, state_line
    from hone.train.optimizers import build_optimizers

    recipe, rows = bench.recipe, len(bench.data.dev)
    times, judged = 1 + -(-recipe.steps // recipe.eval_every), min(rows, recipe.eval_rows)
    loss_share = ration_of(bench, source.tokens_per_step(0)).loss_rows / max(1, len(bench.dev))
    each_s = judging_of(bench, model, JUDGED_ROWS, most_s=JUDGING_S).seconds(judged, loss_share=loss_share)
    training_s = source.tokens_of(recipe.steps) / max(1e-9, speed.tokens_per_second)
    seconds = times * each_s
    writing = ", as long as a model takes that has learned little" if writes(bench) else ""
    evaluations = (
        f"evaluations: {times:,}, at step 0, {every(recipe.eval_every, 'step')} and at the end, on {judged:,} of "
        f"{counted(rows, 'dev row')}: about {seconds:,.0f} s, {seconds / (seconds + training_s):.0%} of the time, "
        f"measured on a few{writing}; the kept weights are scored on all of dev"
    )
    parts = build_optimizers(model, recipe)
    averaged = [param for param in model.parameters() if param.requires_grad] if recipe.average else []
    weights, state = state_bytes(model, parts, averaged)
    rewinds = recipe.on_spike == "rewind"
    return [evaluations, state_line(weights, state, recipe.keep_states + 1 + rewinds)]


def time_line(found: Rehearsal, bench: Bench, source: BatchSource, steps: int) -> str:
    """How long so many steps will take, by the largest one as it was rehearsed; for people, before the first step."""
    from hone.model.estimate import training_seconds

    rate = bench.recipe.processes * found.tokens / max(1e-9, found.seconds)
    how = "forward and backward pass of the largest step, rehearsed"
    line = training_seconds(source.tokens_of(steps), rate, how).line()
    return line.replace(": ", ": about ", 1) + "; evaluations come on top"


def rate_by_formula(bench: Bench, model: nn.Module, source: BatchSource) -> RateAdvice | None:
    """A decoder's rate as a formula has it, to hold the recipe's against; None for encoders, which have no such one.

    For a base by the supervised tokens of a batch, with the rate and the batch of its pretraining assumed; from
    scratch by parameters and tokens.
    """
    from hone.train.rates import BASE_RATES, step_law_rate, supervised_token_rate

    recipe = bench.recipe
    if recipe.objective != "next-token":
        return None
    tokens = max(1, round(recipe.steps * source.tokens_per_step(0)))
    if recipe.base.startswith("scratch"):
        embedded = model.get_input_embeddings().weight.numel()  # type: ignore[operator]
        return step_law_rate(parameters=sum(param.numel() for param in model.parameters()) - embedded, tokens=tokens)
    family = "mistral" if getattr(model.config, "model_type", "") == "mistral" else "llama-2"
    advice = supervised_token_rate(
        base_rate=BASE_RATES[family],
        supervised_tokens=source.supervised_tokens(0),
        steps=recipe.steps,
        epochs=recipe.steps / source.num_steps(0),
    )
    return replace(advice, source=f"{advice.source}; rate and batch of the pretraining are assumed, as of {family}")


@dataclass(frozen=True, kw_only=True)
class Start:
    """What is known at the start and needed at the end: the base, and the memory as it was estimated."""

    base: Base | None
    estimated_bytes: int
    padding_share: float
    """Of the tokens of an epoch's batches."""

    @property
    def base_id(self) -> str | None:
        """Content of the base; None from scratch."""
        return None if self.base is None else self.base.id

    @classmethod
    def of(cls, bench: Bench, model: nn.Module, source: BatchSource, say: Say, *, fresh: bool) -> Start:
        """Say what a run will cost and what it starts from; of one that goes on, only what is needed at its end."""
        base = opened(bench)
        if base is not None:
            base.identity  # noqa: B018  (the hashes of now; the end compares with them)
        padding = source.padding_share(0)
        if fresh and say is not unsaid:
            found = before_the_start(bench, model, source)
            for line in found.lines:
                say(line)
            return cls(base=base, estimated_bytes=found.estimated_bytes, padding_share=padding)
        memory = next(item for item in _figures(bench, source, None) if item.name == MEMORY)
        return cls(base=base, estimated_bytes=int(memory.value), padding_share=padding)


def opened(bench: Bench) -> Base | None:
    """The base of a bench, opened and not loaded; None from scratch."""
    recipe = bench.recipe
    if recipe.base.startswith("scratch"):
        return None
    return base_of(recipe, bench.data.labels, task_marks(bench.task))


def unsaid(line: str) -> None:
    """Where lines go that nobody is to read."""
    del line


def _start(bench: Bench) -> tuple[list[str], dict[str, Any]]:
    """Where the weights come from, and for a base whether it is one."""
    recipe, base = bench.recipe, opened(bench)
    if base is None:
        return [f"start: {recipe.base}, weights from seed {recipe.seed}"], {"base": recipe.base}
    from hone.model.canvas import inspect
    from hone.model.probe import strange_text

    canvas = inspect(base)
    values = {"base": recipe.base, "base_id": base.id, "canvas": canvas.to_json()}
    lines = [*base.lines(frozen=_has_frozen_words(base, recipe)), *strange_text(base), *canvas.lines()]
    base.release()  # the model that is trained is another one
    return lines, values


def _has_frozen_words(base: Base, recipe: Recipe) -> bool:
    """Whether the rows of words, new ones too, stay as they are."""
    from hone.train.layers import frozen_names

    words: Any = base.module.get_input_embeddings()  # type: ignore[operator]
    frozen = frozen_names(base.module, recipe.freeze)
    return any(param is words.weight for name, param in base.module.named_parameters() if name in frozen)


def _figures(bench: Bench, source: BatchSource, speed: Speed | None) -> list[Figure]:
    from hone.hardware import accelerator
    from hone.model.encoders import encoder_shape_of, is_encoder
    from hone.model.estimate import MicroBatch, figures
    from hone.model.presets import shape_of
    from hone.train.fabric import precision_of
    from hone.train.source import row_length, share_of

    recipe, vocab = bench.recipe, bench.tokenizer.vocab_size
    recipe = recipe.child(precision=precision_of(recipe)[0])
    largest = source.largest_step()
    share = share_of(largest, rank=0, processes=recipe.processes, accumulate=recipe.accumulate)[0]
    model: Any = opened(bench)
    if model is None:
        model = encoder_shape_of(recipe, vocab) if is_encoder(recipe.base) else shape_of(recipe, vocab)
    real = sum(map(row_length, share))
    masked = recipe.objective == "masked-tokens"  # chosen anew in each step, and not known here
    supervised = None if masked else sum(int(each.supervised.sum()) for row in share for each in row) / max(1, real)
    return figures(
        recipe,
        model,
        MicroBatch(rows=len(share), longest=max(map(row_length, share)), tokens=real, supervised=supervised),
        tokens=source.tokens_of(recipe.steps),
        tokens_per_second=None if speed is None else speed.tokens_per_second,
        labels=len(bench.data.labels),
        on_cpu=accelerator() == "cpu",
    )


def memory_line(estimated: int | None, measured: int | None) -> str:
    """The measured peak beside the estimate, with the estimate's error; empty where there is nothing to compare."""
    if not estimated or not measured:
        return ""
    return (
        f"memory: {measured / 1e6:,.0f} MB at most in training, measured; {estimated / 1e6:,.0f} MB estimated "
        f"({(estimated - measured) / measured:+.0%})"
    )


def seconds_line(parts: dict[str, float]) -> str:
    """Where the time went, the largest part first; the parts add up to the whole."""
    total = sum(parts.values())
    if total <= 0:
        return ""
    listed = sorted(parts.items(), key=lambda item: -item[1])
    told = ", ".join(f"{name} {_s(seconds)} ({seconds / total:.0%})" for name, seconds in listed if seconds >= 0.05)
    return f"time: {_s(total)} from the first step to the last evaluation: {told}; opening and scoring come on top"


def _s(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
