"""The user's own metric: a callable, or the dotted path of one, made into a :class:`Metric`."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hone.errors import InputError, nearest
from hone.task.metrics import ANSWERS, METRICS, Metric
from hone.task.scores import Statistic, mean_of


def load_metric(name: str | Callable[[Any, Any], float], folder: Path | None = None) -> Metric:
    """The metric of that name, or the user's own from ``package.module:function`` (or all dots), or a callable.

    Modules are looked for in ``folder`` (the task's own) first. Importing runs the user's code: a dotted path is
    followed only because the task file names it.

    Raises:
        InputError: an unknown name (with the nearest), a module or function that is not there, not a callable.
    """
    if callable(name):
        return own_metric(name)
    if name in METRICS:
        return METRICS[name]
    module_name, _, attribute = name.partition(":") if ":" in name else name.rpartition(".")
    if not module_name or not attribute:
        hint = nearest(name, list(METRICS))
        raise InputError(f'metric: "{name}" is not known; {hint}; your own is named package.module:function')
    with _first_on_path(folder):
        try:
            target: Any = importlib.import_module(module_name)
        except ImportError as error:
            raise InputError(f'metric: "{name}": the module {module_name} cannot be imported ({error})') from error
    for part in attribute.split("."):
        if not hasattr(target, part):
            known = [key for key, value in vars(target).items() if callable(value) and not key.startswith("_")]
            raise InputError(f'metric: "{name}": {module_name} has no "{part}"; {nearest(part, known)}')
        target = getattr(target, part)
    if not callable(target):
        raise InputError(
            f'metric: "{name}" is a {type(target).__name__}, not a function (prediction, reference) -> float'
        )
    return own_metric(target, name)


def own_metric(function: Callable[[Any, Any], float], name: str | None = None) -> Metric:
    """A metric that is the mean of ``function(prediction, reference)`` over rows, with a bootstrap interval.

    The function is called with the answers in task terms; ``prediction`` is None when the model's answer could not
    be parsed. It may carry the attributes ``higher_is_better`` (default True) and ``lowest``, ``highest`` (default
    unbounded); values outside them, or that are no finite number, are refused with the row's position.
    """
    label = name or str(getattr(function, "__name__", type(function).__name__))
    lowest = float(getattr(function, "lowest", -math.inf))
    highest = float(getattr(function, "highest", math.inf))

    def per_row(prediction: Any, reference: Any) -> float:
        return float(function(prediction, reference))

    def prepare(predictions: Sequence[Any], references: Sequence[Any]) -> Statistic:
        values = np.empty(len(references))
        for index, (prediction, reference) in enumerate(zip(predictions, references, strict=True)):
            value: Any = function(prediction, reference)
            if not isinstance(value, int | float | np.number) or not lowest <= value <= highest or math.isinf(value):
                raise InputError(
                    f"metric: {label} gave {value!r} for row {index:,} (prediction {prediction!r:.60}); "
                    f"expected a finite number from {lowest:g} to {highest:g}"
                )
            values[index] = value
        return mean_of(values)

    return Metric(
        name=label,
        prepare=prepare,
        per_row=per_row,
        interval="bootstrap",
        kinds=ANSWERS,
        source="the user's own function, mean over rows",
        higher_is_better=bool(getattr(function, "higher_is_better", True)),
        lowest=lowest,
        highest=highest,
    )


@contextmanager
def _first_on_path(folder: Path | None) -> Iterator[None]:
    if folder is None:
        yield
        return
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
