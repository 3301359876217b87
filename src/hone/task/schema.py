"""The JSON Schema of an answer: inferred from the training rows, shown, and checked against."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

MOST_CHOICES = 40
_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def infer_schema(answers: Iterable[Any]) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) that every given answer satisfies.

    Keys that all objects have are required; a string field with at most 40 different values, each seen
    twice or more on average five times, is an enumeration.
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_infer(list(answers))}


def _infer(values: list[Any]) -> dict[str, Any]:
    by_type: dict[str, list[Any]] = defaultdict(list)
    for value in values:
        by_type[_type_name(value)].append(value)
    shapes = [_of_type(name, group) for name, group in sorted(by_type.items())]
    return shapes[0] if len(shapes) == 1 else {"anyOf": shapes}


def _of_type(name: str, values: list[Any]) -> dict[str, Any]:
    if name == "object":
        return _object(values)
    if name == "array":
        return {"type": "array", "items": _infer([item for value in values for item in value])}
    if name == "string":
        counts = Counter(values)
        if len(counts) <= MOST_CHOICES and len(values) >= 5 * len(counts):
            return {"enum": sorted(counts)}
    return {"type": name}


def _object(values: list[dict[str, Any]]) -> dict[str, Any]:
    fields: dict[str, list[Any]] = defaultdict(list)
    for value in values:
        for key, part in value.items():
            fields[key].append(part)
    return {
        "type": "object",
        "properties": {key: _infer(parts) for key, parts in sorted(fields.items())},
        "required": sorted(key for key, parts in fields.items() if len(parts) == len(values)),
        "additionalProperties": False,
    }


def _type_name(value: Any) -> str:
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    return _NAMES.get(type(value), "string")


def schema_lines(schema: dict[str, Any], indent: str = "  ") -> list[str]:
    """The schema as a few lines for people: one per field, with its choices or type."""
    lines = []
    for key, part in schema.get("properties", {}).items():
        optional = "" if key in schema.get("required", ()) else " (optional)"
        lines.append(f"{indent}{key}: {_short(part)}{optional}")
        lines += schema_lines(part, indent + "  ") if part.get("type") == "object" else []
    return lines


def _short(part: dict[str, Any]) -> str:
    if "enum" in part:
        shown = ", ".join(part["enum"][:5])
        return f"one of {len(part['enum'])}: {shown}" + (", ..." if len(part["enum"]) > 5 else "")
    if "anyOf" in part:
        return " or ".join(_short(option) for option in part["anyOf"])
    if part.get("type") == "array":
        return f"list of {_short(part['items'])}"
    return str(part.get("type", "anything"))
