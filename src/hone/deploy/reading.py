"""An encoder behind the callables that scoring takes, from nothing but its logits. Needs numpy alone.

An artifact's session and a torch module both give logits at positions of rows; temperature and threshold are the
renderer's (:class:`hone.task.encoding.EncoderRenderer`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.runtime import EncoderSession
from hone.evaluate.generate import MaskedNats
from hone.task.embedding import EMBED
from hone.task.encoding import EncoderRenderer
from hone.task.render import Example

ROWS_AT_ONCE = 16
"""Rows whose tables of logits are held together: one row over a vocabulary can be 30 MB."""
LogitsAt = Callable[[Sequence[Sequence[int]], Sequence[Sequence[int]]], list[NDArray[np.float64]]]
"""Rows of ids and positions in them to one (positions, outputs) array of logits each."""


def head_of(kind: str) -> str:
    """The method of a session that gives the logits of a task of this kind, or a model's vectors."""
    if kind == EMBED:
        return "vectors"
    return "classify" if kind in ("classify", "multi-label") else "tag"


def session_logits(session: EncoderSession, kind: str) -> LogitsAt:
    """The logits of an opened artifact; a head over rows gives one line whatever the positions are."""

    def of_rows(rows: Sequence[Sequence[int]], _: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        return [line[None].astype(np.float64) for line in session.classify(rows)] if len(rows) else []

    def of_tokens(rows: Sequence[Sequence[int]], at: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        found = []
        for start in range(0, len(rows), ROWS_AT_ONCE):
            tables = session.tag(rows[start : start + ROWS_AT_ONCE])
            wanted = at[start : start + ROWS_AT_ONCE]
            found += [table[list(places)].astype(np.float64) for table, places in zip(tables, wanted, strict=True)]
        return found

    return of_rows if head_of(kind) == "classify" else of_tokens


def reading_callables(renderer: EncoderRenderer, logits: LogitsAt) -> dict[str, Any]:
    """What :func:`hone.evaluate.scoring.evaluate` takes for an encoder's kind of task."""
    if renderer.kind == "tag":
        return {"tags": logits}
    if renderer.kind == "language-model":
        return {"masked": lambda examples: _masked(logits, examples)}
    return {"labels": lambda prompts, ids: _labels(renderer, logits, prompts, ids)}


def _labels(
    renderer: EncoderRenderer, logits: LogitsAt, prompts: Sequence[Sequence[int]], ids: Sequence[int]
) -> NDArray[np.float64]:
    """(rows, labels) natural-log probabilities; each label by itself where a row has several."""
    made = logits(prompts, [[0]] * len(prompts))
    table = np.concatenate(made) / renderer.temperature if made else np.zeros((0, len(renderer.outputs)))
    if renderer.kind == "multi-label":
        return np.asarray(-np.logaddexp(0.0, -table))[:, list(ids)]
    return np.asarray(table - np.logaddexp.reduce(table, axis=-1, keepdims=True))[:, list(ids)]


def _masked(logits: LogitsAt, examples: Sequence[Example]) -> list[MaskedNats]:
    at = [np.flatnonzero(example.supervised).tolist() for example in examples]
    found = []
    for example, places, table in zip(examples, at, logits([one.ids.tolist() for one in examples], at), strict=True):
        assert example.targets is not None, "a masked row says what was masked"
        targets = example.targets[places].astype(np.int64)
        nats = np.logaddexp.reduce(table, axis=-1) - table[np.arange(len(targets)), targets]
        found.append(MaskedNats(float(nats.sum()), int((table.argmax(-1) == targets).sum()), len(targets)))
    return found
