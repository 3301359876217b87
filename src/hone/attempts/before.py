"""What a run will cost and what it starts from, said before its first step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hone.attempts.bench import Bench, build_model, source_of
from hone.attempts.calibrate import Speed, bench_of, speed_of
from hone.processes import Channel

if TYPE_CHECKING:
    from torch import nn

    from hone.model.estimate import Figure
    from hone.train.source import BatchSource


@dataclass(frozen=True, kw_only=True)
class Before:
    """The lines for people, and the same as values."""

    lines: list[str]
    values: dict[str, Any]

    @property
    def estimated_bytes(self) -> int:
        """Training memory of one process as it is estimated."""
        return int(self.values["training memory"])


def before_the_start(bench: Bench, model: nn.Module, source: BatchSource, speed: Speed | None = None) -> Before:
    """Starting point, figures, batches, optimizer and precision of a recipe on its data.

    Args:
        bench: the recipe with its data.
        model: the module that is about to be trained.
        source: its batches.
        speed: as measured here; without it the time follows from the first steps.
    """
    from hone.train.fabric import precision_of
    from hone.train.optimizers import describe

    recipe = bench.recipe
    lines, values = _start(bench)
    found = _figures(bench, source, speed)
    lines += [figure.line() for figure in found]
    if speed is None:
        lines.append("training time: said after the first steps")
    values |= {figure.name: figure.value for figure in found}
    supervised = sum(int(example.supervised.sum()) for example in bench.train)
    real = sum(len(example.ids) for example in bench.train)
    lines.append(
        f"supervised tokens: {supervised:,} of {real:,} in the {len(bench.train):,} rows of an epoch "
        f"({supervised / real:.0%}); {recipe.steps:,} steps are {recipe.steps / source.num_steps(0):.1f} epochs"
    )
    precision, why = precision_of(recipe)
    lines += [
        source.padding_line(0),
        *describe(model, recipe),
        f"precision: {precision}, {why}",
    ]
    values |= {
        "supervised_tokens": supervised,
        "epoch_tokens": real,
        "steps_per_epoch": source.num_steps(0),
        "padding_share": source.padding_share(0),
        "precision": precision,
    }
    return Before(lines=lines, values=values)


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
    trial = build_model(recipe, bench.tokenizer, bench.data.labels)
    speed = speed_of(trial, source, recipe, order["seconds"])
    found = before_the_start(bench, model, source, speed)
    for line in found.lines:
        channel.send({"kind": "line", "line": line})
    return found.values


def _start(bench: Bench) -> tuple[list[str], dict[str, Any]]:
    """Where the weights come from."""
    recipe = bench.recipe
    return [f"start: {recipe.base}, weights from seed {recipe.seed}"], {"base": recipe.base}


def _figures(bench: Bench, source: BatchSource, speed: Speed | None) -> list[Figure]:
    from hone.model.encoders import encoder_shape_of, is_encoder
    from hone.model.estimate import figures
    from hone.model.presets import shape_of
    from hone.train.source import row_length, share_of

    recipe, vocab = bench.recipe, bench.tokenizer.vocab_size
    largest = source.largest_step()
    share = share_of(largest, rank=0, processes=recipe.processes, accumulate=recipe.accumulate)[0]
    real = sum(len(example.ids) for example in bench.train) / source.num_steps(0)
    tokens = recipe.steps * real / max(1e-9, 1 - source.padding_share(0))
    model: Any
    if recipe.base.startswith("scratch"):
        model = encoder_shape_of(recipe, vocab) if is_encoder(recipe.base) else shape_of(recipe, vocab)
    else:
        from hone.attempts.bench import base_of

        model = base_of(recipe, bench.data.labels)
    return figures(
        recipe,
        model,
        rows=len(share),
        tokens_per_row=max(map(row_length, share)),
        tokens=tokens,
        tokens_per_second=None if speed is None else speed.tokens_per_second,
        labels=len(bench.data.labels),
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
    """Where the time went, the largest part first."""
    total = sum(parts.values())
    if total <= 0:
        return ""
    listed = sorted(parts.items(), key=lambda item: -item[1])
    shares = ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in listed if seconds / total >= 0.005)
    return f"time: {total:.0f} s of training: {shares}"
