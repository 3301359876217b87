"""Baselines against hand-worked counts; distributions sum to one; nothing heavy is imported."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from hone.data.rows import Row
from hone.errors import InputError
from hone.evaluate.baselines import baselines
from hone.evaluate.nearest import NearestRow
from hone.evaluate.ngram import ByteNgrams

TEXT = b"the cat sat on the mat, the rat sat on the cat; then that hat. " * 4


def test_the_unigram_model_worked_by_hand():
    # Three bytes, a twice and b once: D = 1 / (1 + 2 * 1); what is given away is 2 D of 3.
    share = ByteNgrams([b"aab"], order=1).distribution(b"")
    assert share[ord("a")] == pytest.approx((2 - 1 / 3) / 3 + (2 / 3) / 3 / 256)
    assert share[ord("b")] == pytest.approx((1 - 1 / 3) / 3 + (2 / 3) / 3 / 256)
    assert share[ord("c")] == pytest.approx((2 / 3) / 3 / 256)


def test_lower_orders_count_contexts_and_not_occurrences():
    # "b" occurs five times but after "a" alone, "c" three times after three different bytes (Kneser and Ney's point).
    model = ByteNgrams([b"ababababab", b"xc", b"yc", b"zc"], order=2)
    after_new = model.distribution(b"q")
    assert after_new[ord("c")] > after_new[ord("b")]


@pytest.mark.parametrize("order", [1, 2, 5, 7])
@pytest.mark.parametrize("context", [b"", b"t", b"the ca", b"\xff\xfe", b"on the \x00"])
def test_every_distribution_sums_to_one(order, context):
    assert ByteNgrams([TEXT, b"", b"the"], order).distribution(context).sum() == pytest.approx(1.0, abs=1e-12)


def test_nats_are_those_of_the_distribution_at_each_byte():
    model = ByteNgrams([TEXT], order=4)
    document = b"the dog"
    each = [-math.log(model.distribution(document[:place])[byte]) for place, byte in enumerate(document)]
    np.testing.assert_allclose(model.nats(document), each, rtol=1e-12)
    assert len(model.nats(b"")) == 0


def test_more_context_helps_on_text_that_has_it():
    unseen = b"the rat sat on the mat; the cat sat on that hat."
    costs = [ByteNgrams([TEXT], order).nats(unseen).mean() for order in (1, 2, 4)]
    assert costs[0] > costs[1] > costs[2]


def test_a_model_of_nothing_is_uniform():
    assert ByteNgrams([], order=3).nats(b"ab") == pytest.approx(math.log(256))


def test_an_order_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="1 to 7, got 8"):
        ByteNgrams([TEXT], order=8)


def test_similarity_worked_by_hand():
    index = NearestRow(["red apple", "green apple"])
    # "red" and the pair have 1 + ln(3/2), "apple" is in both rows: 1. The query shares all three terms with row 0.
    rare = 1 + math.log(3 / 2)
    assert index.similarities("Red, APPLE!")[0] == pytest.approx(1.0)
    length = math.sqrt(1 + 2 * rare * rare)
    assert index.similarities("red apple")[1] == pytest.approx(1 / length**2)
    assert index.find("some green thing") == 1
    assert index.similarities("nothing known").tolist() == [0.0, 0.0]


def test_majority_and_nearest_of_a_classify_task(task_of, rows):
    dev = [Row("dev:1", {"text": "ask 3", "label": "perhaps"}), Row("dev:2", {"text": "ask 0", "label": "yes"})]
    majority, nearest = baselines(task_of("classify"), rows, dev)
    assert (majority.name, majority.score.mean, nearest.name, nearest.score.mean) == ("majority", 0.0, "nearest", 0.5)
    assert "3 of 5 rows" in majority.how
    assert majority.score.n == nearest.score.n == 2


def test_baselines_of_objects_have_exact_match_beside(task_of, rows):
    majority, nearest = baselines(task_of("extract"), rows, rows)
    # A row's nearest row is itself; any constant object gets its intent right at most three times of five.
    assert (nearest.score.mean, nearest.scores["exact_match"].mean) == (1.0, 1.0)
    assert majority.scores["exact_match"].mean == 1 / 5
    assert majority.score.name == "field_f1"


def test_baselines_of_documents_are_bits_per_byte(task_of):
    train = [Row("t:1", {"text": TEXT.decode()})]
    dev = [Row("d:1", {"text": TEXT.decode() * 12})]
    unigram, five, xz = baselines(task_of("language-model", target=2.0), train, dev)
    assert [line.name for line in (unigram, five, xz)] == ["unigram", "5-gram", "xz"]
    counts = np.bincount(np.frombuffer(TEXT, dtype=np.uint8))
    shares = counts[counts > 0] / len(TEXT)
    # A unigram model of the same text costs its entropy, and a little for what is given away.
    entropy = -(shares * np.log2(shares)).sum()
    assert entropy <= unigram.score.mean < entropy + 0.05
    assert five.score.mean < 0.5 * unigram.score.mean
    # All of dev is in train already, so xz adds next to nothing.
    assert xz.score.mean < 0.1
    assert five.score.n == math.ceil(12 * len(TEXT) / 512)
    assert not unigram.score.higher_is_better
    assert {line.to_json()["name"] for line in (unigram, five, xz)} == {"unigram", "5-gram", "xz"}


def test_baselines_without_rows_are_refused(task_of, rows):
    with pytest.raises(InputError, match="got 5 and 0"):
        baselines(task_of("classify"), rows, [])
    empty = [Row("d:1", {"text": ""})]
    with pytest.raises(InputError, match="1 documents to score are empty"):
        baselines(task_of("language-model"), [Row("t:1", {"text": "a"})], empty)


def test_baselines_import_nothing_heavy():
    code = (
        "import sys, hone.evaluate.baselines\n"
        "print([name for name in ('torch', 'transformers', 'sklearn', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
