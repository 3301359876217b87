"""The quick linear classifier: features by hand, laws of a probability, the same model from the same seed and file."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from hone.data.features import features
from hone.data.linear import LinearModel, Settings, fit
from hone.errors import FailedError, InputError

BANKING = Path(__file__).parent / "banking"


def _banking(split: str) -> tuple[list[str], list[str]]:
    with (BANKING / f"{split}.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def test_features_of_two_words_counted_by_hand() -> None:
    # cat, "cat cat"; " ca" "cat" "at "; " cat" "cat "; " cat "
    assert len(features(["Cat, cat!"]).ids) == 2 + 3 + 2 + 1


def test_case_and_punctuation_do_not_change_the_features() -> None:
    found = features(["Where is my card?", "where IS my... card", "where is my cards"])
    first, second, third = (found.take(np.array([row])).ids for row in range(3))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


def test_features_do_not_depend_on_the_texts_around() -> None:
    texts = ["one card", "", "two cards and a pin", "三張卡"]
    together = features(texts)
    for row, text in enumerate(texts):
        assert np.array_equal(together.take(np.array([row])).ids, features([text]).ids)


def test_probabilities_are_probabilities_and_known_words_decide() -> None:
    texts = [f"{word} number {i}" for i in range(30) for word in ("apple", "train", "cloud")]
    labels = ["fruit", "vehicle", "weather"] * 30
    model = fit(texts, labels, seed=0)
    share = model.probabilities(["an apple", "the train", "cloud", "", "zzz"])
    assert share.shape == (5, 3)
    assert np.allclose(share.sum(axis=1), 1, atol=1e-5)
    assert [model.labels[i] for i in share[:3].argmax(axis=1)] == ["fruit", "vehicle", "weather"]
    assert np.array_equal(share[3], share[4]), "without a known feature only the bias speaks"


def test_banking_cut_is_learned_better_than_by_the_most_frequent_label() -> None:
    texts, labels = _banking("train")
    test_texts, test_labels = _banking("test")
    model = fit(texts, labels, seed=0)
    right = np.array(model.labels)[model.probabilities(test_texts).argmax(axis=1)] == np.array(test_labels)
    assert right.mean() >= 0.85  # 8 even labels: guessing gives 0.125


def test_the_same_seed_gives_the_same_model_and_a_file_gives_it_back(tmp_path: Path) -> None:
    texts, labels = _banking("train")
    first, second = (fit(texts, labels, seed=3).save(tmp_path / name) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert np.array_equal(
        LinearModel.open(first).probabilities(texts[:40]), fit(texts, labels, seed=3).probabilities(texts[:40])
    )


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    other, cut = tmp_path / "other.safetensors", tmp_path / "cut.safetensors"
    save_file({"a": np.zeros(2, np.float32)}, other)
    cut.write_bytes(
        fit(["a b", "a c", "b c", "a b c"], ["x", "y", "x", "y"], seed=0).save(tmp_path / "m").read_bytes()[:-4]
    )
    with pytest.raises(InputError, match="no such file"):
        LinearModel.open(tmp_path / "none")
    with pytest.raises(InputError, match='expected "hone linear text classifier'):
        LinearModel.open(other)
    with pytest.raises(FailedError, match="not a whole"):
        LinearModel.open(cut)


def test_wrong_input_is_refused_with_numbers() -> None:
    with pytest.raises(InputError, match="3 texts and 2 labels"):
        fit(["a", "b", "c"], ["x", "y"], seed=0)
    with pytest.raises(InputError, match="at least 2 different labels; 1 found: x"):
        fit(["a", "b"], ["x", "x"], seed=0)
    with pytest.raises(InputError, match="2 problems"):
        Settings(epochs=0, learning_rate=-1)


def test_too_much_text_is_fitted_on_a_seeded_choice_of_rows() -> None:
    texts, labels = _banking("train")
    few = Settings(max_features_read=10_000)
    model = fit(texts, labels, seed=1, settings=few)
    assert 0 < model.fitted_rows < len(texts)
    assert np.array_equal(model.weights, fit(texts, labels, seed=1, settings=few).weights)
