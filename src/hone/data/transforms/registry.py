"""Transforms by name, the order they run in, and running them over texts with books kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

from hone.data.parameters import wrong_kinds
from hone.data.transforms.base import Transform
from hone.data.transforms.c4_lines import C4Lines
from hone.data.transforms.html import Html
from hone.data.transforms.redact import Redact
from hone.data.transforms.unicode import Unicode
from hone.data.transforms.whitespace import Whitespace
from hone.errors import InputError, nearest

TRANSFORMS: dict[str, Callable[..., Transform]] = {
    "html": Html,
    "unicode": Unicode,
    "whitespace": Whitespace,
    "c4-lines": C4Lines,
    "redact": Redact,
}
"""Name to factory, in the order they run by default: pages become text, text is repaired, then what it says is read."""


@runtime_checkable
class Counted(Protocol):
    """A transform that counts what it replaces."""

    def counted(self, text: str) -> tuple[str, int]:
        """The transformed text, and how many spans of the old one were replaced."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What one transform did to some texts: how many it changed, and characters before and after.

    ``spans`` is how many spans it replaced; None for a transform that does not count them.
    """

    name: str
    rows: int
    rows_changed: int
    chars_before: int
    chars_after: int
    spans: int | None

    def __add__(self, other: Changes) -> Changes:
        """The sum over two batches of the same transform."""
        if self.name != other.name:
            raise ValueError(f"changes of {self.name} and {other.name} do not add up")
        spans = None if self.spans is None or other.spans is None else self.spans + other.spans
        return Changes(
            name=self.name,
            rows=self.rows + other.rows,
            rows_changed=self.rows_changed + other.rows_changed,
            chars_before=self.chars_before + other.chars_before,
            chars_after=self.chars_after + other.chars_after,
            spans=spans,
        )


def open_transforms(named: Iterable[str | tuple[str, Mapping[str, Any]]]) -> list[Transform]:
    """Make transforms from names, or names with parameters, in the default order whatever order they are given in.

    Raises:
        InputError: a name or parameter is unknown, a parameter is wrong, a name is given twice; all problems at once.
    """
    problems: list[str] = []
    made: dict[str, Transform] = {}
    for entry in named:
        name, params = (entry, {}) if isinstance(entry, str) else entry
        if name not in TRANSFORMS:
            problems.append(f'unknown transform "{name}"; {nearest(name, list(TRANSFORMS))}')
        elif name in made:
            problems.append(f'the transform "{name}" is given twice; give it once')
        else:
            try:
                made[name] = _made(name, params)
            except InputError as error:
                problems += error.problems
    if problems:
        raise InputError(problems)
    return [made[name] for name in TRANSFORMS if name in made]


def _made(name: str, params: Mapping[str, Any]) -> Transform:
    factory = TRANSFORMS[name]
    known = [field.name for field in fields(factory)]  # type: ignore[arg-type]
    problems = [
        f'the transform "{name}" has no parameter "{key}"; {nearest(key, known) if known else "it has none"}'
        for key in params
        if key not in known
    ]
    right = {key: value for key, value in params.items() if key in known}
    if problems := problems + wrong_kinds(name, factory, right):
        raise InputError(problems)
    return factory(**right)


def apply_all(transforms: Sequence[Transform], texts: Sequence[str]) -> tuple[list[str], list[Changes]]:
    """Run transforms over texts, one after the other; with one :class:`Changes` for each transform, in their order."""
    changes = []
    done = list(texts)
    for transform in transforms:
        before = done
        spans: int | None = None
        if isinstance(transform, Counted):
            pairs = [transform.counted(text) for text in before]
            done, spans = [text for text, _ in pairs], sum(count for _, count in pairs)
        else:
            done = [transform.apply(text) for text in before]
        changes.append(
            Changes(
                name=transform.name,
                rows=len(before),
                rows_changed=sum(old != new for old, new in zip(before, done, strict=True)),
                chars_before=sum(map(len, before)),
                chars_after=sum(map(len, done)),
                spans=spans,
            )
        )
    return done, changes
