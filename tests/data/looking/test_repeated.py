"""Phrases and lines that were planted are found, with the rows that hold them."""

from __future__ import annotations

from typing import Any

import numpy as np

from hone.data.looking.figures import Figures, LookOptions
from hone.data.looking.repeated import repeated
from hone.data.looking.searched import searched

PHRASE = "please rate this answer from one to five stars before you leave"
LINE = "Subscribe to our newsletter"


def _repeated(measured: Any, *, sensitive: bool = False) -> dict[str, Any]:
    figures, options = Figures(measured.columns), LookOptions(sensitive=sensitive)
    return repeated(searched(measured.store, figures, options), figures, options)


def _texts(count: int) -> list[str]:
    random = np.random.default_rng(0)
    words = [f"word{at}" for at in range(4_000)]
    texts = []
    for at in range(count):
        body = " ".join(random.choice(words, 30))
        text = f"{body} {PHRASE} {' '.join(random.choice(words, 5))}" if at % 4 == 0 else body
        texts.append(f"{text}\n{LINE}" if at % 5 == 0 else text)
    return texts


def test_a_planted_phrase_is_shown_once_and_whole(make_measured: Any) -> None:
    measured = make_measured(_texts(200))
    found = _repeated(measured)
    phrases = [item for item in found["ngrams"] if "rate this answer" in item["text"]]
    assert [(item["text"], item["rows"]) for item in phrases] == [(PHRASE, 50)]
    assert [(item["text"], item["rows"]) for item in found["lines"]] == [(LINE, 40)]
    assert found["lines"][0]["share"]["value"] == 0.2


def test_words_by_chance_repeat_nothing(make_measured: Any) -> None:
    random = np.random.default_rng(1)
    texts = [" ".join(f"w{at}" for at in random.integers(0, 5_000, 40)) for _ in range(100)]
    measured = make_measured(texts)
    found = _repeated(measured)
    assert found["ngrams"] == found["lines"] == []


def test_counts_stay_where_no_text_may_be_shown(make_measured: Any) -> None:
    measured = make_measured(_texts(200))
    found = _repeated(measured, sensitive=True)
    assert [(item["text"], item["rows"]) for item in found["lines"]] == [(None, 40)]
