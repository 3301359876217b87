"""What a key takes, in words, from its type and bounds: for the sentence on a value that it does not take."""

from __future__ import annotations

import datetime
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

_BOUNDS = (("gt", "above"), ("ge", "of at least"), ("lt", "below"), ("le", "of at most"))


def expected(model: type[BaseModel], key: str) -> str:
    """Such as ``a whole number of at least 1, such as 1600``; empty for a key of another form.

    Args:
        model: a section of the task, or the recipe.
        key: a field's name, or the name that it has in a file.
    """
    fields = {name: field for known, field in model.model_fields.items() for name in (known, field.alias or known)}
    field = fields[key]
    kinds = _members(field.annotation)
    words = [str(word) for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    if bool in kinds:
        words = ["true", "false", *words]
    if words and not {str, int, float} & set(kinds):
        return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    if {int, float} & set(kinds) and str not in kinds:
        bounds = {name: getattr(rule, name) for rule in field.metadata for name, _ in _BOUNDS if hasattr(rule, name)}
        told = " and ".join(f"{word} {bounds[name]:g}" for name, word in _BOUNDS if name in bounds)
        what = " ".join(filter(None, ["a number" if float in kinds else "a whole number", told]))
        such = f", such as {default:g}" if isinstance(default, int | float) else ""
        return f"{what}{such}{' (or nothing)' if NoneType in kinds else ''}"
    if {int, float} & set(kinds) and set(kinds) <= {int, float, str, NoneType}:
        return "a number or a text" + ("" if default is None else f", such as {default}")
    origins = {get_origin(kind) for kind in kinds}
    if str in kinds and {list, dict} & origins:
        return f"a text or a {'list' if list in origins else 'table'}"
    if any(get_origin(kind) is tuple for kind in kinds):
        return "a list of texts, such as [a, b]"
    if set(kinds) <= {str, NoneType}:
        return "a text" + (f", such as {default}" if default else "")
    return ""


def shown(value: Any) -> str:
    """A value as YAML would have it, for ``got ...``."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list | tuple):
        return "a table" if isinstance(value, dict) else f"a list of {len(value)}"
    if isinstance(value, datetime.date):
        return f"the date {value}"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _members(annotation: Any) -> list[Any]:
    """The types of a union, flat."""
    if get_origin(annotation) in (Union, UnionType):
        return [kind for part in get_args(annotation) for kind in _members(part)]
    return [annotation]
