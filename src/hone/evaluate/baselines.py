"""What no model is needed for: the first lines of every table, scored with the same metric on the same rows.

Where a baseline wins, the task does not need a model yet, or the model has learned nothing. Nothing here imports torch.
"""

from __future__ import annotations

import lzma
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hone.errors import InputError
from hone.evaluate.nearest import NearestRow
from hone.evaluate.ngram import ByteNgrams
from hone.evaluate.scoring import answer_scores
from hone.task.metrics import METRICS, Metric
from hone.task.own_metric import load_metric
from hone.task.render import task_prompt, task_reference
from hone.task.scores import Score
from hone.task.spec import Task
from hone.wording import counted

if TYPE_CHECKING:
    from hone.data.rows import Row

MOST_ROWS = 50_000
MOST_NGRAM_BYTES = 16_000_000
MOST_XZ_BYTES = 2_000_000
BLOCK_BYTES = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """One line of the table: ``score`` is the task's metric, ``scores`` all of them; ``how`` says what answered."""

    name: str
    score: Score
    scores: dict[str, Score]
    how: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "score": self.score.to_json(),
            "scores": {name: score.to_json() for name, score in self.scores.items()},
            "how": self.how,
            "seconds": round(self.seconds, 3),
        }


def baselines(
    task: Task, train: Sequence[Row], dev: Sequence[Row], *, metric: Metric | None = None
) -> tuple[Baseline, ...]:
    """The baselines of a task's kind.

    Args:
        task: names kind, templates and metric.
        train: rows that a baseline may look at.
        dev: rows that are scored; their answers are seen by the metric only.
        metric: the task's metric when it is the user's own, already loaded.

    Returns:
        ``majority`` and ``nearest``, or for language-model ``unigram``, ``5-gram`` and ``xz``.

    Raises:
        InputError: when either set is empty.
    """
    if not train or not dev:
        raise InputError(f"baselines need rows to learn from and to score; got {len(train):,} and {len(dev):,}")
    if task.kind == "language-model":
        return _of_documents(_bytes_of(task, train), _bytes_of(task, dev))
    own = metric or load_metric(task.metric)
    return (_majority(task, train, dev, own), _nearest(task, train, dev, own))


def _majority(task: Task, train: Sequence[Row], dev: Sequence[Row], metric: Metric) -> Baseline:
    started = time.perf_counter()
    answers = [task_reference(task, row.fields) for row in train]
    # Objects cannot be counted as they are; equal objects have equal text.
    counts = Counter(map(repr, answers))
    text, times = counts.most_common(1)[0]
    answer = next(answer for answer in answers if repr(answer) == text)
    shown = text if len(text) <= 60 else text[:57] + "..."
    how = f"always the commonest training answer ({times:,} of {counted(len(answers), 'row')}): {shown}"
    return _answered("majority", [answer] * len(dev), task, dev, metric, how, started)


def _nearest(task: Task, train: Sequence[Row], dev: Sequence[Row], metric: Metric) -> Baseline:
    started = time.perf_counter()
    used = train[:MOST_ROWS]
    index = NearestRow([task_prompt(task, row.fields) for row in used])
    found = [used[index.find(task_prompt(task, row.fields))] for row in dev]
    answers = [task_reference(task, row.fields) for row in found]
    left = "" if len(used) == len(train) else f" (the first {len(used):,} of {len(train):,})"
    how = f"the answer of the training row{left} with the most similar prompt (TF-IDF, cosine)"
    return _answered("nearest", answers, task, dev, metric, how, started)


def _answered(
    name: str, answers: Sequence[Any], task: Task, dev: Sequence[Row], metric: Metric, how: str, started: float
) -> Baseline:
    references = [task_reference(task, row.fields) for row in dev]
    scores = answer_scores(task.kind, metric, answers, references)
    return Baseline(name=name, score=scores[metric.name], scores=scores, how=how, seconds=time.perf_counter() - started)


def _of_documents(train: Sequence[bytes], dev: Sequence[bytes]) -> tuple[Baseline, ...]:
    if sum(map(len, dev)) == 0:
        raise InputError(f"the {len(dev):,} documents to score are empty")
    return (_ngram("unigram", 1, train, dev), _ngram("5-gram", 5, train, dev), _xz(train, dev))


def _ngram(name: str, order: int, train: Sequence[bytes], dev: Sequence[bytes]) -> Baseline:
    started = time.perf_counter()
    used, said = _first_bytes(train, MOST_NGRAM_BYTES)
    model = ByteNgrams(used, order)
    nats, num_bytes = _blocks([model.nats(document) for document in dev])
    score = METRICS["bits_per_byte"].score(nats, num_bytes)
    smoothing = "interpolated Kneser-Ney" if order > 1 else "one distribution for all"
    how = f"bytes given the {order - 1} before ({smoothing}), from {said} of train; {len(nats):,} blocks resampled"
    return Baseline(name=name, score=score, scores={score.name: score}, how=how, seconds=time.perf_counter() - started)


def _blocks(documents: Sequence[NDArray[np.float64]]) -> tuple[list[float], list[int]]:
    """Nats and bytes of blocks of at most 512 bytes: units small enough that one long document has an interval."""
    blocks = [nats[start : start + BLOCK_BYTES] for nats in documents for start in range(0, len(nats), BLOCK_BYTES)]
    return [float(block.sum()) for block in blocks], [len(block) for block in blocks]


def _xz(train: Sequence[bytes], dev: Sequence[bytes]) -> Baseline:
    """Bits per dev byte that xz adds when it has read train before: size of train and dev less size of train.

    That makes it conditional on train as the models are; dev compressed alone would pay for learning the language.
    """
    started = time.perf_counter()
    # The end of train is what the compressor's window still holds when it comes to dev.
    used = b"".join(train)[-MOST_XZ_BYTES:]
    text = b"".join(dev)
    added = len(lzma.compress(used + text)) - len(lzma.compress(used))
    bits = 8 * added / len(text)
    score = Score(name="bits_per_byte", mean=bits, low=bits, high=bits, n=1, higher_is_better=False)
    how = f"what xz adds for dev after the last {len(used):,} bytes of train; one measurement, so no interval"
    return Baseline(name="xz", score=score, scores={score.name: score}, how=how, seconds=time.perf_counter() - started)


def _first_bytes(documents: Sequence[bytes], most: int) -> tuple[list[bytes], str]:
    used: list[bytes] = []
    left = most
    for document in documents:
        if left <= 0:
            break
        used.append(document[:left])
        left -= len(document)
    total, kept = sum(map(len, documents)), sum(map(len, used))
    return used, f"all {total:,} bytes" if kept == total else f"the first {kept:,} of {total:,} bytes"


def _bytes_of(task: Task, rows: Sequence[Row]) -> list[bytes]:
    return [task_reference(task, row.fields).encode("utf-8", "surrogatepass") for row in rows]
