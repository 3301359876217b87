"""The base before any training: the line against which everybody sees what training adds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from hone.attempts.bench import build_model, prepare_bench
from hone.attempts.judging import score_model
from hone.processes import Channel
from hone.task.own_metric import load_metric
from hone.task.recipe import Recipe


def untouched(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    """Score the recipe's base on all dev rows; a line of the table of baselines as plain values.

    ``order``: folder, task, data, recipe.
    """
    begin = time.monotonic()
    folder, task, data, recipe = Path(order["folder"]), order["task"], order["data"], order["recipe"]
    load_metric(task.metric, folder)

    def say(line: str) -> None:
        channel.send({"kind": "line", "line": line})

    bench = prepare_bench(task, data, recipe, folder / ".hone" / "cache", say)
    evaluation = score_model(bench, build_model(recipe, bench.tokenizer, data.labels), data.dev)
    return {
        "name": "base",
        "score": evaluation.score.to_json(),
        "scores": {name: score.to_json() for name, score in evaluation.scores.items()},
        "how": f"{recipe.base} as it is, without training{_under(recipe)}",
        "seconds": round(time.monotonic() - begin, 3),
    }


def _under(recipe: Recipe) -> str:
    """An encoder that was opened for classes or tags has a head that has learned nothing yet."""
    from hone.train.engine import FRESH_HEADS

    return ", under a new head of random weights" if recipe.objective in FRESH_HEADS else ""
