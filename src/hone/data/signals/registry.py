"""Every signal by its name. Each is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from typing import Any

from hone.data.parameters import wrong_kinds
from hone.data.signals.base import CorpusSignal, Signal
from hone.errors import InputError, nearest

OWN = "own:"
"""Begins the name of a signal that is a function of the user's own: ``own:package.module:function``."""

SIGNALS: dict[str, str] = {
    "bias": "hone.data.signals.bias:Bias",
    "boilerplate": "hone.data.signals.boilerplate:Boilerplate",
    "c4": "hone.data.signals.c4:C4",
    "chance": "hone.data.signals.chance:Chance",
    "contamination": "hone.data.signals.contamination:Contamination",
    "content": "hone.data.signals.content:Content",
    "disclaimer": "hone.data.signals.disclaimer:Disclaimer",
    "exact": "hone.data.signals.exact:Exact",
    "fineweb": "hone.data.signals.fineweb:FineWeb",
    "labels": "hone.data.signals.labels:Labels",
    "language": "hone.data.signals.language:Language",
    "leak": "hone.data.signals.leak:Leak",
    "length": "hone.data.signals.length:Length",
    "near": "hone.data.signals.near:Near",
    "pii": "hone.data.signals.pii:Pii",
    "quality": "hone.data.signals.quality:Quality",
    "repetition": "hone.data.signals.repetition:Repetition",
    "script": "hone.data.signals.script:Script",
    "toxicity": "hone.data.signals.toxicity:Toxicity",
}
"""Name to module and class."""


def signal(name: str, params: Mapping[str, Any], given: Mapping[str, Any]) -> Signal | CorpusSignal:
    """Make a signal.

    Args:
        name: of :data:`SIGNALS`, or ``own:`` and the dotted path of a function.
        params: what ``hone.yaml`` sets.
        given: what the caller hands over (fingerprints, a folder); not for users to set.

    Raises:
        InputError: an unknown signal or parameter, with the nearest name; a value of another kind than the signal's,
            or that it refuses.
    """
    made: Any
    if name.startswith(OWN):
        from hone.data.signals.own import Own

        made, given = Own, {**given, "path": name.removeprefix(OWN)}
    elif name in SIGNALS:
        module, _, class_name = SIGNALS[name].partition(":")
        made = getattr(import_module(module), class_name)
    else:
        raise InputError(f'clean.signals: "{name}" is not known; {nearest(name, list(SIGNALS))}')
    owner = f"clean.signals.{name}"
    known = [field.name for field in fields(made) if field.init and field.name not in given]
    problems = [f"{owner}: no parameter {key}; {_near(key, known)}" for key in params if key not in known]
    problems += wrong_kinds(owner, made, {key: value for key, value in params.items() if key in known})
    if problems:
        raise InputError(problems)
    try:
        found: Signal | CorpusSignal = made(**given, **params)
    except (TypeError, ValueError) as error:
        raise InputError(f"{owner}: {error}") from None
    return found


def _near(key: str, known: Sequence[str]) -> str:
    return nearest(key, known) if known else "it has none"
