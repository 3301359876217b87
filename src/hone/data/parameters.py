"""Parameters of transforms and signals against their annotations: what a file sets may be of any kind."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hone.data.rows import kind_of

_ONE = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
_MANY = {int: "whole numbers", float: "numbers", str: "texts"}


def wrong_kinds(owner: str, made: Any, params: Mapping[str, Any]) -> list[str]:
    """A sentence for each parameter whose value is of another kind than the field it is for.

    Args:
        owner: what stands before the parameter's name in the sentences, such as ``c4-lines``.
        made: a dataclass; its fields are bool, int, float, text or path, lists of them, or None beside one of them.
            A field of any other annotation takes any value.
        params: each names a field.
    """
    hints = typing.get_type_hints(made)
    faults = ((name, _fault(hints[name], value)) for name, value in params.items())
    return [f"{owner}.{name}: {fault}" for name, fault in faults if fault]


def _fault(hint: Any, value: Any) -> str:
    """What is wrong with a value; nothing where it is of the kind that is meant."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if any(_is_fit(kind, value) for kind in kinds):
        return ""
    wanted = next(kind for kind in kinds if kind is not type(None))
    if not _is_list(wanted):
        return f"expected {_ONE[wanted]}, found {_shown(value)}"
    item = typing.get_args(wanted)[0]
    if isinstance(value, list | tuple):
        found = next(f"{_shown(part)} in it" for part in value if not _is_fit(item, part))
    else:
        found = _shown(value)
    such = f", such as [{value}]" if _is_fit(item, value) else ""
    return f"expected a list of {_MANY[item]}{such}, found {found}"


def _is_fit(kind: Any, value: Any) -> bool:
    if kind is type(None):
        return value is None
    if kind is Path:
        return isinstance(value, str | Path)
    if kind is int or kind is float:
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    if kind in _ONE:
        return isinstance(value, kind)
    if not _is_list(kind):
        return True
    return isinstance(value, list | tuple) and all(_is_fit(typing.get_args(kind)[0], part) for part in value)


def _is_list(kind: Any) -> bool:
    origin = typing.get_origin(kind)
    return origin in (tuple, Sequence) and typing.get_args(kind)[0] in _MANY


def _shown(value: Any) -> str:
    return f'the text "{value}"' if isinstance(value, str) else kind_of(value)
