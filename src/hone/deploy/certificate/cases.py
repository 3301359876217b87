"""Rendered rows as what is compared: ids, and the positions at which a prediction counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hone.task.render import Example

BEGINNING = 16
"""Ids of a document that are continued."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One row: a prompt with its answer as ids, or what an encoder reads."""

    ids: tuple[int, ...]
    prompt_len: int
    """Ids before the answer."""
    at: tuple[int, ...] = ()
    """Positions of the ids that are predicted (of an encoder, where it predicts); empty: all from ``prompt_len``."""
    row: str = ""
    """The dev row; pieces of one document have the same. Positions of one row are not independent of each other."""
    before: int = 1
    """Ids that stand before a document: its begin, and a soft prompt."""

    @property
    def prompt(self) -> tuple[int, ...]:
        """What is answered greedily: the prompt; of a document, which has none, its beginning."""
        if self.prompt_len > self.before:
            return self.ids[: self.prompt_len]
        rest = len(self.ids) - self.before + 1
        return self.ids[: self.before - 1 + max(1, min(BEGINNING, rest // 2))]

    @property
    def predicted(self) -> tuple[int, ...]:
        """``at``, or all positions from ``prompt_len``."""
        return self.at or tuple(range(self.prompt_len, len(self.ids)))


def cases_of(examples: Sequence[Example], soft: int = 0) -> list[Case]:
    """Rendered examples as cases: what is supervised is what is compared. ``soft``: ids of a soft prompt."""
    return [
        Case(
            ids=tuple(int(one) for one in item.ids),
            prompt_len=item.prompt_len,
            at=tuple(int(one) for one in np.flatnonzero(item.supervised)),
            row=item.row.partition("#")[0],
            before=1 + soft,
        )
        for item in examples
    ]


def first_cases(cases: Sequence[Case], most_positions: int) -> Iterator[Case]:
    """Cases in order until they have so many predicted positions."""
    positions = 0
    for case in cases:
        if positions >= most_positions:
            return
        positions += len(case.predicted)
        yield case


def prompts_of(cases: Sequence[Case], most: int) -> dict[tuple[int, ...], str]:
    """The first different prompts, each with the row that it is of."""
    found: dict[tuple[int, ...], str] = {}
    for case in cases:
        if len(found) >= most:
            break
        found.setdefault(case.prompt, case.row)
    return found
