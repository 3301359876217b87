"""hone: hone a small language model until it solves your task, on your device.

The Python face is small::

    task = hone.Task.load("voice")            # what "solved" means
    result = hone.solve("voice", minutes=8)   # train until the target and the budget hold
    lab = hone.Lab("voice")                   # runs, scores, artifacts
    run = hone.attempt("voice", hone.Recipe(steps=200))
    artifact = hone.export("voice", "best", weights="q8_0")
    session = hone.load(artifact)             # generate with the artifact's own runtime
    parts = hone.training_parts("voice")      # model, batches, loss and optimizer for a loop of one's own

Everything heavy is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Lab", "Recipe", "Task", "attempt", "export", "load", "solve", "training_parts"]

if TYPE_CHECKING:
    from hone.face import attempt, export, load, solve
    from hone.lab.lab import Lab
    from hone.own_loops import training_parts
    from hone.task.recipe import Recipe
    from hone.task.spec import Task

_HOMES = {
    "Lab": "hone.lab.lab",
    "Recipe": "hone.task.recipe",
    "Task": "hone.task.spec",
    "attempt": "hone.face",
    "export": "hone.face",
    "load": "hone.face",
    "solve": "hone.face",
    "training_parts": "hone.own_loops",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hone' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
