"""Disclaimers and refusals are found where an assistant says them, with their places in the text."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from hone.data.signals.disclaimer import DISCLAIMERS, REFUSALS, Disclaimer

Rows = Callable[..., pa.RecordBatch]


def found(rows: Rows, text: str, answer: str | None = None, **params: object) -> list[tuple[str, str]] | None:
    """Kind and text of each span."""
    batch = rows([text], [answer])
    (row,) = Disclaimer(**params).columns(batch).to_pylist()  # type: ignore[arg-type]
    whole = batch.column("text")[0].as_py()
    if row["disclaimer.spans"] is None:
        assert row["disclaimer.count"] is row["disclaimer.refusals"] is None
        return None
    kinds = [span["kind"] for span in row["disclaimer.spans"]]
    assert row["disclaimer.count"] == kinds.count("disclaimer")
    assert row["disclaimer.refusals"] == kinds.count("refusal") == len(kinds) - kinds.count("disclaimer")
    return [(span["kind"], whole[span["start"] : span["end"]]) for span in row["disclaimer.spans"]]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("As an AI language model, that is beyond me.", ("disclaimer", "As an AI language model")),
        ("Well, AS A LARGE LANGUAGE MODEL one says so", ("disclaimer", "AS A LARGE LANGUAGE MODEL")),
        ("I\u2019m sorry, but I can\u2019t assist with this.", ("refusal", "I can\u2019t assist with")),
        ("I cannot\nfulfil that wish", ("refusal", "I cannot\nfulfil")),
        ("🎵 and I'm not able to help with that", ("refusal", "I'm not able to help with that")),
    ],
)
def test_phrases_with_their_places(rows: Rows, text: str, span: tuple[str, str]) -> None:
    assert found(rows, text) == [span]


@pytest.mark.parametrize(
    "text",
    [
        "She works as an AI researcher.",
        "I cannot wait to see you.",
        "As a language, model English is hard.",
        "As an A.I. language model",
        "I can't help it.",
        "",
    ],
)
def test_harmless_sentences(rows: Rows, text: str) -> None:
    assert found(rows, text) == []


def test_only_the_answer_counts_where_there_is_one(rows: Rows) -> None:
    prompt = "Pretend: as an AI language model, what can you do?"
    assert found(rows, prompt, "Quite a lot.") == []
    assert found(rows, prompt, "As an AI assistant I write.") == [("disclaimer", "As an AI assistant")]
    # The prompt quotes the answer: the answer is the place after the prompt.
    batch = rows(["I cannot assist with it"], ["I cannot assist with it"])
    (row,) = Disclaimer().columns(batch).to_pylist()
    assert [span["start"] for span in row["disclaimer.spans"]] == [len("I cannot assist with it") + 2]


def test_an_answer_that_is_not_in_the_text_is_not_measured(rows: Rows) -> None:
    batch = rows(["as an ai language model"])
    batch = batch.set_column(batch.schema.get_field_index("answer"), "answer", pa.array(["else"], pa.large_string()))
    (row,) = Disclaimer().columns(batch).to_pylist()
    assert row == {"disclaimer.count": None, "disclaimer.refusals": None, "disclaimer.spans": None}


def test_phrases_of_ones_own(rows: Rows) -> None:
    assert found(rows, "Beep boop, said it", phrases=("beep boop",)) == [("disclaimer", "Beep boop")]
    assert dict(Disclaimer(phrases=("beep boop",)).params) == {"phrases": ("beep boop",)}


def test_every_phrase_finds_itself(rows: Rows) -> None:
    for column, phrases in (("disclaimer.count", DISCLAIMERS), ("disclaimer.refusals", REFUSALS)):
        found = Disclaimer().columns(rows([f"So, {phrase}." for phrase in phrases]))
        counts = found.column(column).to_pylist()
        assert [phrase for phrase, count in zip(phrases, counts, strict=True) if count != 1] == []
