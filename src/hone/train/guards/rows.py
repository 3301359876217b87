"""Before the start: rows from which nothing, or no end, could be learned (law 6)."""

from __future__ import annotations

from collections.abc import Sequence

from hone.errors import InputError
from hone.task.render import Example


def check_examples(examples: Sequence[Example], *, end_id: int | None = None) -> None:
    """Law 6: every row has a supervised token and a supervised end; the first id is never supervised.

    Args:
        examples: what is about to be trained on.
        end_id: id of ``<|end|>``; without it the last id is taken to be the end.

    Raises:
        InputError: one sentence per kind of fault, with its count and the first three rows.
    """
    faults: dict[str, list[str]] = {}
    for example in examples:
        for fault in _faults(example, end_id):
            faults.setdefault(fault, []).append(example.row)
    if faults:
        raise InputError(
            [f"{len(rows):,} of {len(examples):,} rows {what}: {', '.join(rows[:3])}" for what, rows in faults.items()]
        )


def _faults(example: Example, end_id: int | None) -> list[str]:
    # An encoder's row has no end to learn, and its first position may be the supervised one.
    if example.reads_both_ways:
        what = "have no supervised position, so nothing could be learned from them"
        return [] if example.supervised.any() else [what]
    if len(example.ids) != len(example.supervised) or len(example.ids) < 2:
        return ["have fewer than 2 ids, or a supervision mask of another length"]
    faults = []
    if not example.supervised.any():
        faults.append("have no supervised token, so nothing could be learned from them")
    elif not example.supervised[-1] or (end_id is not None and example.ids[-1] != end_id):
        faults.append("do not end in a supervised end of turn, so the model would not learn to stop")
    if example.supervised[0]:
        faults.append("start with a supervised token, which nothing comes before to predict it from")
    return faults
