"""From the ``clean`` section of ``hone.yaml`` to what is carried out: transforms, signals and rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from hone.data import rules as deciding
from hone.data.measure import AnySignal
from hone.data.presets import BENCHMARK, CONTAMINATED, OPTIONAL, Preset, Step, preset
from hone.data.rules import Rule
from hone.data.signals import registry
from hone.data.signals.base import CorpusSignal
from hone.data.table import TextRow, text_batch
from hone.data.transforms.base import Transform
from hone.errors import InputError
from hone.task.spec import Clean

Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What signals need beside their parameters.

    ``folder``: where a user's own functions are looked for. ``test`` and ``dev``: fingerprints of those splits with
    ids. ``fingerprints``: of test and benchmark texts, for n-grams; None when there is nothing to compare with.
    ``with_answer``: rows are duplicates only when their answers are equal too.
    """

    folder: Path
    test: Mapping[str, str] = field(default_factory=dict)
    dev: Mapping[str, str] = field(default_factory=dict)
    fingerprints: Any = None
    with_answer: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What cleaning carries out, in this order. ``notes``: what was left out of it, and why."""

    transforms: tuple[Transform, ...]
    signals: tuple[AnySignal, ...]
    rules: tuple[Rule, ...]
    notes: tuple[str, ...] = ()


def transforms_of(clean: Clean, kind: str) -> tuple[Transform, ...]:
    """The transforms of a section: its own list, or the preset's.

    Raises:
        InputError: unknown names or parameters, all at once.
    """
    steps: Sequence[Step] = preset(clean.preset, kind).transforms
    if clean.transforms is not None:
        steps = [step for wish in clean.transforms for step in steps_of(wish)]
    if not steps:
        return ()
    from hone.data.transforms.registry import open_transforms

    return tuple(open_transforms(steps))


def plan_of(clean: Clean, kind: str, given: Given, *, looking: bool = False) -> Plan:
    """The plan of a section.

    Args:
        clean: the section.
        kind: of the task, or ``table``.
        given: see :class:`Given`.
        looking: measure also what no rule decides by.

    Raises:
        InputError: with every unknown name, parameter and threshold.
    """
    problems: list[str] = []
    base = preset(clean.preset, kind)
    transforms = _tried(partial(transforms_of, clean, kind), problems) or ()
    rules = _tried(partial(rules_of, clean, kind), problems) or ()
    rules, notes = _possible(rules, given)
    names = _signal_names(base, clean, rules, given, looking)
    signals = [_tried(partial(_signal, name, base, clean, given), problems) for name in names]
    found = tuple(signal for signal in signals if signal is not None)
    _tried(partial(_check_columns, rules, found), problems)
    if problems:
        raise InputError(problems)
    return Plan(transforms=transforms, signals=found, rules=rules, notes=notes)


def _check_columns(rules: Sequence[Rule], signals: Sequence[AnySignal]) -> None:
    """Apply rules to one made-up row, so that a column that no signal gives is named before all rows are measured.

    Signals that compare rows, and a user's own, tell their columns only with the rows at hand.
    """
    alone = [one for one in signals if not isinstance(one, CorpusSignal) and not one.name.startswith(registry.OWN)]
    one = text_batch([TextRow(row="", source="", split="", text="", input="", answer=None, label=None, fields="{}")])
    measured = [signal.columns(one) for signal in alone]
    columns = {name: batch.column(name) for batch in measured for name in batch.schema.names}
    names = {signal.name for signal in alone}
    deciding.decide(pa.table(columns), [rule for rule in rules if rule.signal in names])


def rules_of(clean: Clean, kind: str) -> tuple[Rule, ...]:
    """The rules of a section: the preset's as a person changed them, and those on benchmarks where there are any.

    Raises:
        InputError: with every rule that is unknown or says no threshold.
    """
    wishes = {name: wish if isinstance(wish, bool) else _wish(wish) for name, wish in clean.rules.items()}
    against = {rule.name: True for rule in (BENCHMARK, CONTAMINATED) if clean.against}
    return deciding.changed(preset(clean.preset, kind).rules, {**against, **wishes}, OPTIONAL)


def compares(clean: Clean, kind: str) -> bool:
    """Whether a section asks for the n-grams of test and benchmark texts."""
    asked = "contamination" in clean.signals or bool(clean.against)
    return asked or any(rule.signal == "contamination" for rule in rules_of(clean, kind))


def _wish(wish: Any) -> dict[str, Any]:
    return {key: value for key, value in wish.model_dump().items() if value is not None}


def steps_of(wish: str | Mapping[str, Mapping[str, Any]]) -> list[Step]:
    """The transforms of one entry of ``clean.transforms``, each with its parameters."""
    return [(wish, {})] if isinstance(wish, str) else [(name, dict(params)) for name, params in wish.items()]


def _possible(rules: Sequence[Rule], given: Given) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    """Rules without those that compare with texts nobody named."""
    left_out = [rule.name for rule in rules if rule.signal == "contamination" and given.fingerprints is None]
    if not left_out:
        return tuple(rules), ()
    note = f"{', '.join(left_out)}: no test or benchmark file to compare with, so this rule is left out"
    return tuple(rule for rule in rules if rule.name not in left_out), (note,)


def _signal_names(base: Preset, clean: Clean, rules: Sequence[Rule], given: Given, looking: bool) -> list[str]:
    names = ["leak", *deciding.needed_signals(rules), *clean.signals]
    if looking:
        names += [name for name, _ in base.signals]
        names += ["contamination"] if given.fingerprints is not None else []
    elif given.fingerprints is None:
        names = [name for name in names if name != "contamination"]
    columns = [_params(name, base, clean).get("column") for name in names]
    beside = [signal_of(column) for column in columns if column and isinstance(column, str)]
    return list(dict.fromkeys([*names, *beside]))


def signal_of(column: str) -> str:
    """Name of the signal that gives a column."""
    return column if column.startswith(registry.OWN) else column.partition(".")[0]


def _signal(name: str, base: Preset, clean: Clean, given: Given) -> AnySignal:
    return registry.signal(name, _params(name, base, clean), handed(name, given))


def _params(name: str, base: Preset, clean: Clean) -> dict[str, Any]:
    return {**dict(base.signals).get(name, {}), **clean.signals.get(name, {})}


def handed(name: str, given: Given) -> dict[str, Any]:
    """What a signal is handed beside its parameters."""
    if name.startswith(registry.OWN):
        return {"folder": given.folder}
    handed: dict[str, dict[str, Any]] = {
        "leak": {"test": given.test, "dev": given.dev},
        "exact": {"with_answer": given.with_answer},
        "contamination": {"fingerprints": given.fingerprints},
        "toxicity": {"folder": given.folder},
        "bias": {"folder": given.folder},
    }
    return handed.get(name, {})


def _tried(make: Callable[[], Made], problems: list[str]) -> Made | None:
    try:
        return make()
    except InputError as error:
        problems += error.problems
        return None
