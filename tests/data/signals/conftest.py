"""Rows of the text table out of plain strings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pytest

from hone.data.table import TextRow, text_batch

Rows = Callable[..., pa.RecordBatch]


@pytest.fixture(scope="session")
def rows() -> Rows:
    def made(texts: Sequence[str], answers: Sequence[str | None] = (), sources: Sequence[str] = ()) -> pa.RecordBatch:
        """One batch; an answer stands after its prompt, two line feeds between."""
        given = list(answers) or [None] * len(texts)
        found = []
        for n, (text, answer) in enumerate(zip(texts, given, strict=True)):
            whole = text if answer is None else f"{text}\n\n{answer}"
            source = sources[n] if sources else "s"
            found.append(
                TextRow(
                    row=f"r{n}",
                    source=source,
                    split="train",
                    text=whole,
                    input=text,
                    answer=answer,
                    label=None,
                    fields="{}",
                )
            )
        return text_batch(found)

    return made
