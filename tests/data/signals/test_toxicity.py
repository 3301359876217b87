"""Toxic words with their places, and the fitted model: laws that hold for any list."""

from __future__ import annotations

import pickle
import random
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.data.groups import rates_by_group, read_groups
from hone.data.kernels.codepoints import pieces
from hone.data.kernels.phrases import SPLITTER, phrase_table
from hone.data.kernels.words import split_words
from hone.data.signals.toxicity import Toxicity, shipped_words
from hone.data.table import TextRow, text_batch
from hone.data.toxic_figures import auc
from hone.data.toxic_model import fit_toxic, open_toxic
from hone.data.wordlists import read_list, shipped
from hone.errors import InputError


def batch(*texts: str) -> pa.RecordBatch:
    rows = [
        TextRow(row=f"f:{n}", source="f", split="train", text=text, input=text, answer=None, label=None, fields="{}")
        for n, text in enumerate(texts, start=1)
    ]
    return text_batch(rows)


def found(phrases: list[str], text: str) -> list[str]:
    """What a table finds in a text, as the text has it."""
    (piece,) = pieces([text])
    hits = phrase_table(phrases).find(split_words(piece, SPLITTER))
    return [text[start:end] for start, end in zip(hits.start.tolist(), hits.end.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bad, BAD baddie, bad_y and a-bad.", ["Bad", "BAD", "bad"]),  # whole words, any case
        ("very bad apple; very\nbad-apple, very bad. Apple", ["very bad apple", "very\nbad-apple", "bad"]),
        ("g-spot g spot g.spot gspot", ["g-spot", "g spot"]),
        ("s&m s & m s m", ["s&m"]),
        ("don't don\u2019t dont", ["don't", "don\u2019t"]),
        ("сука, СУКА и сукаб", ["сука", "СУКА"]),  # noqa: RUF001 - Cyrillic in any case
        ("e\u0301bad bad\u0301 bad", ["bad"]),  # a combining mark belongs to its word
        ("坏人坏 坏", ["坏人", "坏", "坏"]),  # Han signs are words of their own, and phrases run on
        ("\U0001f595\U0001f595x", ["\U0001f595", "\U0001f595"]),
        ("one cup two cups", ["one cup", "two cups"]),
        ("", []),
    ],
)
def test_phrases_are_whole_words_in_any_case_and_the_longest_first(text: str, expected: list[str]) -> None:
    phrases = ["bad", "very bad apple", "g-spot", "s&m", "don't", "сука", "坏", "坏人", "\U0001f595"]
    phrases += ["one cup", "cup two", "two cups"]
    assert found(phrases, text) == expected


@given(st.lists(st.sampled_from(["ax", "bo", "c", "ax bo", "bo c ax", "AX", ",", "\n", "c-c"]), max_size=30))
@settings(max_examples=80, deadline=None)
def test_it_agrees_with_a_regular_expression(words: list[str]) -> None:
    text = " ".join(words)
    phrases = ["ax bo c", "bo c", "ax", "c c"]
    pattern = "|".join(re.escape(phrase).replace("\\ ", r"[\s-]+") for phrase in phrases)
    expected = [match[0] for match in re.finditer(rf"(?<!\w)(?:{pattern})(?!\w)", text, re.IGNORECASE)]
    assert found(phrases, text) == expected


def test_columns_count_strong_and_ambiguous_words_apart_and_show_where() -> None:
    columns = Toxicity().columns(batch("What a shitty, SHITTY day", "sexual health", "", "naïve shitake"))
    assert columns.column("toxicity.words").to_pylist() == [2, 0, 0, 0]
    assert columns.column("toxicity.ambiguous").to_pylist() == [0, 1, 0, 0]
    assert columns.column("toxicity.spans").to_pylist() == [
        [{"kind": "strong", "start": 7, "end": 13}, {"kind": "strong", "start": 15, "end": 21}],
        [{"kind": "ambiguous", "start": 0, "end": 6}],
        [],
        [],
    ]


def test_a_batch_gives_what_its_rows_give_one_by_one() -> None:
    random.seed(0)
    vocabulary = [*shipped("naughty_en")[::9], "the", "cat", "\U0001f595", "é", "\n"]
    texts = [" ".join(random.choices(vocabulary, k=random.randint(0, 9000))) for _ in range(12)]  # several pieces
    whole = Toxicity().columns(batch(*texts))
    alone = pa.Table.from_batches([Toxicity().columns(batch(text)) for text in texts]).combine_chunks()
    assert pa.Table.from_batches([whole]).equals(alone)


def test_the_shipped_lists_do_not_overlap_and_ambiguous_ones_are_of_the_first() -> None:
    strong, ambiguous, _ = shipped_words()
    assert set(ambiguous) <= set(shipped("naughty_en"))
    assert not set(strong) & set(ambiguous)
    assert not set(shipped("inflected_en")) & set(shipped("naughty_en"))


def test_a_list_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("\ufeff# mine\n\nfoo bar\nstraße\n", encoding="utf-8")
    signal = Toxicity(words="mine.txt", folder=tmp_path)
    assert signal.columns(batch("Foo  Bar shit STRASSE Straße")).column("toxicity.words").to_pylist() == [2]
    assert signal.params != Toxicity().params
    assert pickle.loads(pickle.dumps(signal)) == signal


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"cannot be read \(No such file"),
        (b"caf\xe9", "not UTF-8 at byte 3"),
        (b"# nothing\n", "no phrase in it"),
        (b"a b c d e f g h i\n", ":1: 9 words; a phrase has at most 8"),
    ],
)
def test_a_list_that_cannot_be_used(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "l.txt").write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_list(tmp_path / "l.txt")


def test_harmless_rows_are_not_struck() -> None:
    """Harmless words and phrases hold bad ones: Scunthorpe, assess, cockpit, Matsushita, same-sex couples."""
    texts = ["Scunthorpe assessed the cockpit", "class, assume, bass", "Matsushita", "analysis of canals", "Dickens"]
    texts += ["same-sex couples", "a Maine coon", "Moby Dick"]
    columns = Toxicity().columns(batch(*texts))
    assert columns.column("toxicity.words").to_pylist() == [0] * len(texts)
    assert columns.column("toxicity.spans").to_pylist() == [[]] * len(texts)


# ------------------------------------------------------------------------------------------------ the fitted model


@pytest.fixture(scope="module")
def labelled() -> tuple[list[str], list[str]]:
    """Made-up rows: what is said decides, and one harmless group word is made to stand beside toxic words often."""
    random.seed(1)
    nouns = ["table", "garden", "report", "kettle", "window", "muslim", "river", "ticket"]
    texts, labels = [], []
    for number in range(900):
        toxic = number % 3 == 0
        noun = "muslim" if toxic and number % 2 else random.choice(nouns)
        verb = random.choice(["zorg", "blick", "frusk"] if toxic else ["help", "paint", "carry"])
        texts.append(f"please {verb} the {noun} number {number}")
        labels.append(random.choice(["hate", "abuse"]) if toxic else "fine")
    return texts, labels


def test_a_model_is_fitted_and_says_what_it_does_on_rows_it_has_not_seen(
    labelled: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    texts, labels = labelled
    lines: list[str] = []
    about = fit_toxic(texts, labels, {"hate", "abuse"}, tmp_path / "model", say=lines.append)
    assert sum(about["rows"].values()) == len(texts)
    assert about["auc"] > 0.99
    assert about["recall"]["low"] <= about["recall"]["share"] <= about["recall"]["high"]
    assert about["false_positive_rate"]["n"] + about["recall"]["n"] == about["rows"]["test"]
    assert [rate["group"] for rate in about["false_positive_rate_by_group"]] == ["muslim"]
    assert about["swaps"]["religion: muslim -> jewish"]["mean"] < 0  # the word stood beside toxic ones
    assert {rate["axis"] for rate in about["probe"]["false_positive_rate_by_group"]} >= {"religion", "age", "gender"}
    assert any("area under the ROC curve" in line for line in lines)
    model = open_toxic(tmp_path / "model")
    toxic, fine, long = model.scores(["please zorg the table", "please paint the table", "paint " * 999 + "zorg blick"])
    assert toxic > model.threshold > fine
    assert long > model.scores(["paint " * 999])[0]  # the end of a long text is read too


def test_the_same_rows_give_the_same_model(labelled: tuple[list[str], list[str]], tmp_path: Path) -> None:
    for name in ("a", "b"):
        fit_toxic(*labelled, {"hate", "abuse"}, tmp_path / name, groups=read_groups())
    a, b = open_toxic(tmp_path / "a"), open_toxic(tmp_path / "b")
    assert (a.digest, a.threshold) == (b.digest, b.threshold)
    assert {path.suffix for path in (tmp_path / "a").iterdir()} == {".safetensors", ".json"}


def test_the_signal_gives_the_models_scores(labelled: tuple[list[str], list[str]], tmp_path: Path) -> None:
    fit_toxic(*labelled, {"hate", "abuse"}, tmp_path / "model", groups=read_groups())
    signal = Toxicity(model="model", folder=tmp_path)
    score = signal.columns(batch("please zorg the table", " \n", "please paint the table")).column("toxicity.score")
    assert score.null_count == 1
    assert score[0].as_py() > 0.5 > score[2].as_py()
    assert signal.params["model"] == open_toxic(tmp_path / "model").digest


@pytest.mark.parametrize(
    ("toxic", "says"),
    [
        ({"hat"}, 'no row has the label "hat"; there are "abuse", "fine", "hate"'),
        (set(), "some must be toxic and some harmless"),
        ({"fine", "hate", "abuse"}, "some must be toxic and some harmless"),
    ],
)
def test_labels_that_do_not_fit(
    labelled: tuple[list[str], list[str]], tmp_path: Path, toxic: set[str], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        fit_toxic(*labelled, toxic, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_too_few_rows_are_refused_by_part(tmp_path: Path) -> None:
    texts = [f"row {n} says" for n in range(60)]
    with pytest.raises(InputError, match=r"rows for the figures: \d+ toxic rows; at least 20"):
        fit_toxic(texts, ["t" if n % 2 else "f" for n in range(60)], {"t"}, tmp_path / "model")
    with pytest.raises(InputError, match="expected the folder of a toxicity model"):
        Toxicity(model=tmp_path)


def test_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    scores, positive = np.array([0.1, 0.4, 0.35, 0.8, 0.4]), np.array([False, False, True, True, True])
    pairs = [(s > t) + (s == t) / 2 for s in scores[positive] for t in scores[~positive]]
    assert auc(scores, positive) == pytest.approx(sum(pairs) / len(pairs))


# ------------------------------------------------------------------------------------------------ groups


def test_rates_count_a_row_once_and_give_the_wilson_interval() -> None:
    texts = ["A Muslim and another muslim", "Muslims here", "black sheep", "two black women", "nobody"]
    rates = {rate.group: rate for rate in rates_by_group(texts, [True, False, True, False, True], read_groups())}
    assert (rates["muslim"].count, rates["muslim"].n) == (1, 2)
    assert (rates["black"].count, rates["black"].n) == (0, 1)  # the sheep is a colour
    assert rates["muslim"].low == pytest.approx(0.0945, abs=1e-4)  # Wilson, 1 of 2
    assert {"muslim", "black"} == set(rates)  # "women" belongs to the longer phrase
    terms = rates_by_group(texts, [True] * 5, read_groups(), terms=True)
    assert {(rate.term, rate.n) for rate in terms} == {("muslim", 1), ("muslims", 1), ("black women", 1)}


def test_a_group_list_with_mistakes_names_them_all(tmp_path: Path) -> None:
    path = tmp_path / "groups.txt"
    path.write_text("persons: man\nno colon\na / b: x, y ~\na / b: z\nc / d: x\n/ e: q\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_groups(path)
    assert [problem.partition("groups.txt")[2][:3] for problem in caught.value.problems] == [":2:", ":4:", ":6:", ': "']
