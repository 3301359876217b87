"""What a report says about contamination: a proof that the search finds planted passages, and figures for each test.

A search that silently finds nothing looks like a clean corpus (dolma issue 174), so figures come with the proof.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hone.data.fingerprints import PLANTED, canaries
from hone.data.kernels.words import Ints
from hone.data.signals.contamination import Contamination
from hone.data.table import TextRow, text_batch, texts

_SAMPLES = 32
_CHUNK_ROWS = 2_000
_EQUAL = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """How many planted passages the search found in copies of training rows.

    ``passages``: for each length in words how many were planted and how many found; ``missed``: which were not;
    ``false_alarms``: copies without a passage where it claimed to see one.
    """

    passages: Mapping[int, tuple[int, int]]
    missed: tuple[str, ...]
    false_alarms: int

    @property
    def ok(self) -> bool:
        """Everything was found and nothing else."""
        return not self.missed and not self.false_alarms

    def sentence(self) -> str:
        """The proof as one line of a report."""
        planted, found = (sum(side) for side in zip(*self.passages.values(), strict=True))
        lengths = ", ".join(map(str, self.passages))
        told = f"found {found} of {planted} planted passages of {lengths} words, with {self.false_alarms} false alarms"
        if self.ok:
            return told
        missed = f" (missed: {'; '.join(self.missed[:3])})" if self.missed else ""
        return f"{told}{missed}; the figures on contamination cannot be trusted"

    def canaries(self) -> tuple[dict[str, Any], ...]:
        """For the report: ``words``, ``planted``, ``times_found``, and whether all were ``found``, for each length."""
        return tuple(
            {"words": words, "planted": planted, "times_found": found, "found": planted == found}
            for words, (planted, found) in self.passages.items()
        )


def prove(signal: Contamination, samples: Sequence[str]) -> Proof:
    """Plant made-up passages in copies of training texts and look for them with the very signal that is used.

    Each passage is planted at the start, in the middle and at the end of a text and as a text of its own; as it is, in
    capitals with other punctuation, and with line breaks inside.

    Args:
        signal: the signal, with the fingerprints of the real tests.
        samples: some training texts; the first 32 are used, and an empty one where there are none.
    """
    samples = list(samples[:_SAMPLES]) or [""]
    planted = list(_plantings(samples))
    batch = _batch([*(text for _, _, text, _, _ in planted), *samples])
    columns = signal.columns(batch)
    spans, against = (columns[f"{signal.name}.{figure}"].to_pylist() for figure in ("spans", "against"))
    passages: dict[int, tuple[int, int]] = {}
    missed = []
    for index, (words, how, _, start, end) in enumerate(planted):
        covered = any(span["start"] <= start and span["end"] >= end for span in spans[index])
        found = covered and PLANTED in (against[index] or "").split(", ")
        times, times_found = passages.get(words, (0, 0))
        passages[words] = (times + 1, times_found + found)
        if not found:
            missed.append(f"{words} words {how}")
    false_alarms = sum(PLANTED in (names or "").split(", ") for names in against[len(planted) :])
    return Proof(passages=passages, missed=tuple(missed), false_alarms=false_alarms)


def _plantings(samples: Sequence[str]) -> Iterator[tuple[int, str, str, int, int]]:
    """(words of the passage, how it is planted, text, start and end of the passage in it)."""
    number = 0
    for passage in canaries():
        size = len(passage.split())
        forms = {
            "as it is": passage,
            "in capitals": passage.upper().replace(" ", ", ") + "!",
            "over line breaks": re.sub(r"( \S+) ", r"\1\n\n", passage),
        }
        for form, written in forms.items():
            for place in ("start", "middle", "end", "alone"):
                sample = "" if place == "alone" else samples[number % len(samples)]
                number += 1
                cut = {"start": 0, "middle": len(sample) // 2, "end": len(sample), "alone": 0}[place]
                before = sample[:cut] + "\n" if cut else ""
                after = "\n" + sample[cut:] if cut < len(sample) else ""
                # Its closing mark is no word, so no span has to reach over it.
                end = len(before) + len(written.rstrip("!"))
                yield size, f"{form}, {place}", before + written + after, len(before), end


def _batch(given: Sequence[str]) -> pa.RecordBatch:
    return text_batch(
        [
            TextRow(row=str(i), source="", split="train", text=text, input=text, answer=None, label=None, fields="{}")
            for i, text in enumerate(given)
        ]
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """What the training rows and one test have in common.

    ``test_rows`` it has; ``test_rows_equal``: equal to a training row, folded; ``test_rows_sharing``: for each kind
    of span ("13-gram", "8-gram", "whole" for short rows that stand inside a training row) how many share one;
    ``rows``: training rows that share anything; ``rows_equal``: that equal a test row; ``causes``: the training rows
    that touch most test rows, each (position, row id, share of its words, test rows touched).
    """

    test: str
    test_rows: int
    test_rows_equal: int
    test_rows_sharing: dict[str, int]
    rows: int
    rows_equal: int
    causes: tuple[tuple[int, str, float, int], ...]


def overlaps(
    signal: Contamination,
    columns: pa.Table,
    take: Callable[[Ints], pa.RecordBatch],
    split: str = "train",
    causes: int = 10,
) -> tuple[Overlap, ...]:
    """Figures for each test. Only training rows that share something are read again.

    Args:
        signal: the signal that was measured.
        columns: its columns, with ``row`` and ``split`` beside them.
        take: texts by global position.
        split: the split whose rows are counted.
        causes: how many training rows are named for each test.
    """
    prints = signal.fingerprints
    shares = columns[f"{signal.name}.against"].is_valid().to_numpy()
    flagged = np.flatnonzero(shares & pc.equal(columns["split"], split).to_numpy())
    position, row, size = _matched(signal, flagged, take)
    share, row_id = columns[f"{signal.name}.share"], columns["row"]
    kinds = {f"{length}-gram": size == length for length in prints.n} | {"whole": (size > 0) & (size < min(prints.n))}
    found = []
    for number, name in enumerate(prints.names[:-1]):  # the last name is that of the planted rows
        own = prints.owner[row] == number
        equal = own & (size == _EQUAL)
        touched = Counter(np.unique(np.stack([position[own], row[own]]), axis=1)[0].tolist())
        most = sorted(touched.items(), key=lambda item: (-item[1], item[0]))[:causes]
        found.append(
            Overlap(
                test=name,
                test_rows=prints.rows_of(name),
                test_rows_equal=len(np.unique(row[equal])),
                test_rows_sharing={kind: len(np.unique(row[own & of])) for kind, of in kinds.items()},
                rows=len(touched),
                rows_equal=len(np.unique(position[equal])),
                causes=tuple((at, row_id[at].as_py(), share[at].as_py() or 0.0, count) for at, count in most),
            )
        )
    return tuple(found)


def _matched(signal: Contamination, flagged: Ints, take: Callable[[Ints], pa.RecordBatch]) -> tuple[Ints, Ints, Ints]:
    """(position, test row, length of the n-gram) of every match of some rows; length 0 where rows are equal."""
    found = [np.zeros((3, 0), np.int64)]
    for begin in range(0, len(flagged), _CHUNK_ROWS):
        at = flagged[begin : begin + _CHUNK_ROWS]
        batch = take(at)
        given = texts(batch)
        equal = [signal.equal_inputs(given, texts(batch, "input"))]
        for matches in signal.matches(given):
            found.append(np.stack([at[matches.text], matches.row, matches.size]))
            equal.append(matches.equal)
        text, row = np.concatenate(equal, axis=1)
        found.append(np.stack([at[text], row, np.full(len(row), _EQUAL)]))
    position, row, size = np.concatenate(found, axis=1)
    return position, row, size
