"""Looking for a learning rate or for the largest micro-batch, on a recipe's own model and data."""

from __future__ import annotations

from typing import Any

from hone.attempts.bench import build_model, source_of
from hone.attempts.calibrate import bench_of
from hone.attempts.encoding import objective_of
from hone.errors import InputError
from hone.processes import Channel


def find(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    """Carry out a search of :mod:`hone.train.finders`; its lines go up the channel, the values come back.

    ``order``: folder, task, data, recipe, and ``what``: ``rate`` or ``batch``.

    Returns:
        ``lines`` (the curve and the suggestion), ``suggestion`` (keys of the recipe) and what the search measured.
    """
    import torch

    from hone.train.finders import find_batch, find_rate

    recipe = order["recipe"]
    if recipe.aware != "none":
        raise InputError(
            f"aware is {recipe.aware}, and searches compute with weights in floats; leave aware out of --find"
        )
    torch.set_num_threads(recipe.threads)
    bench = bench_of(channel, order)
    model = build_model(recipe, bench.tokenizer, bench.data.labels)
    search = find_rate if order["what"] == "rate" else find_batch
    found = search(
        model,
        source_of(bench),
        recipe,
        objective=objective_of(bench, model),
        say=lambda line: channel.send({"kind": "line", "line": line}),
    )
    return {**found.to_json(), "suggestion": dict(found.suggestion), "lines": list(found.lines())}
