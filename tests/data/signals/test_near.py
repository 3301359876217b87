"""Near duplicates: exact similarities, survivors that prove each removal, the kept rows of comparing all pairs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hone.data.clusters import Edges, cluster_members, components, notes, on_behalf
from hone.data.kernels.bands import candidates
from hone.data.kernels.codepoints import pieces
from hone.data.kernels.jaccard import MinHashes, may_reach
from hone.data.kernels.minhash import band_shape, shingles, sketches
from hone.data.kernels.words import split_words
from hone.data.near_pairs import verified
from hone.data.signals.base import CorpusSignal
from hone.data.signals.near import Near
from hone.data.table import TextRow, batches
from hone.errors import InputError

WORDS = [
    f"{a}{b}" for a in ("ka", "lo", "mi", "nu", "re", "so", "ta", "vi") for b in ("da", "fe", "go", "hu", "ji", "pe")
]


def measured(texts: Sequence[str], signal: Near | None = None, cut: int = 0, **beside: Sequence[object]) -> pa.Table:
    """Columns of texts; ``cut`` rows in each batch."""
    signal = signal or Near()
    rows = [
        TextRow(row=f"r{n}", source="s", split="train", text=text, input=text, answer=None, label=None, fields="{}")
        for n, text in enumerate(texts)
    ]
    groups = [rows[at : at + cut] for at in range(0, len(rows), cut)] if cut else [rows]
    table = pa.Table.from_batches([signal.sketch(batch) for group in groups for batch in batches(group)])
    beside = {"row": [row.row for row in rows], "split": ["train"] * len(rows), **beside}
    for name, values in beside.items():
        table = table.append_column(name, pa.array(values))
    return signal.columns(table)


def jaccard(left: str, right: str, n: int = 5) -> float:
    """The definition, over words separated by spaces."""
    a, b = (
        {tuple(words[at : at + n]) for at in range(max(1, len(words) - n + 1))}
        for words in (left.split(), right.split())
    )
    return len(a & b) / len(a | b)


def prose(rng: random.Random, size: int) -> list[str]:
    return [rng.choice(WORDS) for _ in range(size)]


def edited(rng: random.Random, words: Sequence[str], edits: int) -> list[str]:
    words = list(words)
    for _ in range(edits):
        at = rng.randrange(len(words) + 1)
        words[at : at + rng.choice((0, 1))] = rng.choice(([], [rng.choice(WORDS)]))
    return words


def chain() -> tuple[str, str, str]:
    """A is like B, and B like C, at 0.85; A is not like C."""
    words = prose(random.Random(0), 100)
    one, both = [*words[:50], "new", *words[51:]], [*words[:50], "new", *words[51:90], "newer", *words[91:]]
    return " ".join(words), " ".join(one), " ".join(both)


def corpus(seed: int, documents: int = 60) -> list[str]:
    """Originals, and copies with 0 to 8 edits of the one before."""
    rng = random.Random(seed)
    texts: list[list[str]] = []
    while len(texts) < documents:
        texts.append(prose(rng, rng.randrange(1, 120)))
        while rng.random() < 0.7:
            texts.append(edited(rng, texts[-1], rng.randrange(9)) or [rng.choice(WORDS)])
    return [" ".join(words) for words in texts]


def test_it_is_a_corpus_signal() -> None:
    assert isinstance(Near(), CorpusSignal)


def test_a_worked_example() -> None:
    # Seven 5-grams each; the last word differs, so six are shared: 6 / (7 + 7 - 6).
    base = "one two three four five six seven eight nine ten"
    texts = [f"{base} eleven", f"{base} twelve", "a text that has nothing to do with others", "?!"]
    columns = measured(texts).to_pydict()
    assert columns["near.similarity"] == [None, 0.75, None, None]
    assert columns["near.survivor"] == [None, "r0", None, None]
    assert columns["near.cluster"] == [0, 0, None, None]
    assert columns["near.size"] == [2, 2, 1, None]
    assert columns["near.shingles"] == [7, 7, 5, None]
    assert measured(texts, Near(threshold=0.76)).column("near.survivor").null_count == 4


@pytest.mark.parametrize("seed", range(4))
def test_every_removed_row_has_its_true_similarity_with_a_kept_row(seed: int) -> None:
    texts = corpus(seed)
    columns = measured(texts, Near(threshold=0.7)).to_pydict()
    survivors = columns["near.survivor"]
    assert sum(survivor is not None for survivor in survivors) > 5
    for at, survivor in enumerate(survivors):
        if survivor is not None:
            kept = int(survivor[1:])
            assert survivors[kept] is None
            assert columns["near.similarity"][at] == jaccard(texts[at], texts[kept]) >= 0.7
            assert columns["near.cluster"][at] == columns["near.cluster"][kept] == kept


@pytest.mark.parametrize("seed", range(4))
def test_the_kept_rows_are_those_of_comparing_every_pair(seed: int) -> None:
    texts = corpus(seed)
    kept: list[int] = []
    for at, text in enumerate(texts):
        if all(jaccard(text, texts[other]) < 0.7 for other in kept):
            kept.append(at)
    found = measured(texts, Near(threshold=0.7)).column("near.survivor").to_pylist()
    assert [at for at, survivor in enumerate(found) if survivor is None] == kept


def test_what_the_columns_do_not_prove_is_said() -> None:
    columns = measured(["", "...", "yes", *chain()], Near(threshold=0.85))
    said = notes(columns)
    assert said[0] == "near: 2 rows without words are not compared"
    assert said[1].startswith("near: 1 row is so short")
    assert said[2].startswith("near: 2 rows are much like a row that is removed")
    assert len(said) == 3
    columns = columns.set_column(6, "near.uncompared", pa.array([0, 0, 7, 9, 0, 0]))
    assert notes(columns)[-1].startswith("near: 2 rows share so much with up to 9 others")


def test_a_chain_does_not_remove_what_no_kept_row_says() -> None:
    a, b, c = chain()
    threshold = 0.85
    assert jaccard(a, b) > threshold < jaccard(b, c)
    assert jaccard(a, c) < threshold
    columns = measured([a, b, c, "something else"], Near(threshold=threshold)).to_pydict()
    assert columns["near.survivor"] == [None, "r0", None, None]
    assert columns["near.chain"] == [0, 0, 0, None]
    assert columns["near.similarity"][2] == jaccard(b, c)
    assert columns["near.size"] == [2, 2, 1, 1]


def test_logs_that_differ_in_their_numbers_survive_unless_asked() -> None:
    rng = random.Random(1)
    logs = [
        "\n".join(
            f"step {step:02} loss {rng.random():.4f} rate {rng.random():.6f} tokens {rng.randrange(10**6):06}"
            for step in range(40)
        )
        for _ in range(10)
    ]
    assert measured(logs).column("near.survivor").null_count == 10
    assert measured(logs, Near(numbers=False)).column("near.survivor").null_count == 1


def test_a_text_shorter_than_a_shingle_is_one_shingle_and_one_without_words_is_not_measured() -> None:
    texts = [
        "Yes, please.",
        "yes please",
        "yes",
        "please yes",
        "",
        "...",
        "one two three four",
        "one two three four five",
    ]
    columns = measured(texts).to_pydict()
    assert columns["near.shingles"] == [1, 1, 1, 1, None, None, 1, 1]
    assert columns["near.survivor"] == [None, "r0", None, None, None, None, None, None]
    assert columns["near.size"] == [2, 2, 1, 1, None, None, 1, 1]


@pytest.mark.parametrize("cut", [1, 7, 50])
def test_batches_do_not_matter(cut: int) -> None:
    texts = corpus(5)
    assert measured(texts, cut=cut).equals(measured(texts))


def test_thousands_of_versions_of_one_page_are_one_cluster() -> None:
    rng = random.Random(2)
    page = prose(rng, 300)
    texts = [" ".join([*page[:at], f"visitor{n}", *page[at:]]) for n in range(1500) for at in [rng.randrange(300)]]
    columns = measured(texts)
    assert columns.column("near.survivor").null_count == 1
    assert set(columns.column("near.uncompared").to_pylist()) == {0}
    assert len(cluster_members(columns, 0)) == 1500


def test_a_second_pass_removes_nothing() -> None:
    texts = corpus(6)
    survivors = measured(texts).column("near.survivor").to_pylist()
    kept = [text for text, survivor in zip(texts, survivors, strict=True) if survivor is None]
    assert measured(kept).column("near.survivor").null_count == len(kept) < len(texts)


def test_the_survivor_is_the_one_that_the_policy_wants() -> None:
    rng = random.Random(3)
    words = prose(rng, 200)
    texts = [" ".join(words), " ".join([*words, "more"]), " ".join(words[:-1])]

    def kept(signal: Near, **beside: Sequence[object]) -> int:
        found = measured(texts, signal, **beside).column("near.survivor").to_pylist()
        assert found.count(None) == 1
        return found.index(None)

    assert kept(Near()) == 0
    assert kept(Near(survivor="longest")) == 1
    assert kept(Near(survivor="best", column="score"), score=[None, 1, 2]) == 2
    assert kept(Near(survivor="source", sources=["wiki", "web"]), source=["web", "else", "wiki"]) == 2
    assert kept(Near(), split=["train", "train", "dev"]) == 2


def test_what_does_not_fit_is_refused_all_at_once() -> None:
    with pytest.raises(InputError) as caught:
        Near(threshold=75, n=0, splitter="unicode_words", measured="label")
    assert len(caught.value.problems) == 4
    with pytest.raises(InputError, match="did you mean"):
        Near(survivor="longst")
    with pytest.raises(InputError, match="expected numbers"):
        measured(["a", "b"], Near(survivor="best", column="score"), score=["high", "low"])


def test_sketches_agree_as_often_as_the_sets_do() -> None:
    # Broder 1997: the probability of agreeing is the Jaccard similarity. 400 pairs x 128 hashes at each length.
    rng = random.Random(4)
    for size in (12, 40, 150, 600):
        left = [prose(rng, size) for _ in range(400)]
        right = [edited(rng, words, max(1, size // 40)) for words in left]
        texts = [" ".join(words) for words in (*left, *right)]
        found = np.concatenate([sketches(shingles(split_words(piece), 5)) for piece in pieces(texts)])
        agree = (found[:400] == found[400:]).mean(axis=1)
        true = np.array([jaccard(a, b) for a, b in zip(texts[:400], texts[400:], strict=True)])
        assert abs((agree - true).mean()) < 0.015
        assert np.abs(agree - true).max() < 0.35


def test_bands_miss_at_most_one_pair_in_a_thousand_at_the_threshold() -> None:
    for threshold in (0.3, 0.5, 0.7, 0.75, 0.8, 0.9, 0.99):
        bands, rows = band_shape(threshold)
        assert bands * rows <= 128
        assert (1 - threshold**rows) ** bands <= 0.001
    assert band_shape(0.7) == band_shape(0.75) == (32, 4)


@given(st.lists(st.lists(st.integers(0, 6), min_size=25, max_size=25), min_size=1, max_size=3), st.integers(2, 9))
@settings(max_examples=60, deadline=None)
def test_candidates_are_the_pairs_that_share_a_key(bands: list[list[int]], crowd: int) -> None:
    found = candidates([np.array(keys, np.uint64) for keys in bands], crowd)
    pairs = {(a, b) for a, b in found.pairs.tolist()}
    assert len(pairs) == len(found.pairs)
    pairs |= {pair for members in found.crowded for pair in combinations(members.tolist(), 2)}
    assert pairs == {(a, b) for a, b in combinations(range(25), 2) if any(keys[a] == keys[b] for keys in bands)}


@given(st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda p: p[0] < p[1])), st.integers(2, 13))
@settings(max_examples=150, deadline=None)
def test_a_crowded_bucket_keeps_the_same_rows_as_all_its_pairs(alike: set[tuple[int, int]], crowd: int) -> None:
    one_bucket = [np.zeros(12, np.uint64)]
    found = verified(
        one_bucket, 12, lambda pairs: np.array([float((a, b) in alike) for a, b in pairs.tolist()]), 0.5, crowd=crowd
    )
    assert not found.uncompared.any()
    kept: list[int] = []
    for row in range(12):
        if not any((other, row) in alike for other in kept):
            kept.append(row)
    survivor, _ = on_behalf(12, found.edges)
    assert [row for row in range(12) if survivor[row] == row] == kept
    whole = components(12, np.array(sorted(alike), np.int64).reshape(-1, 2))
    assert (components(12, found.edges.pairs) >= whole).all()


@given(st.integers(0, 10**6))
@example(426)  # a row that went, came back, and had not met those who came meanwhile
@settings(max_examples=60, deadline=None)
def test_many_crowded_buckets_keep_the_same_rows_as_all_their_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bands = list(rng.integers(0, 3, (3, 30)).astype(np.uint64))
    alike = np.triu(rng.random((30, 30)) < 0.15, 1)
    found = verified(bands, 30, lambda pairs: alike[pairs[:, 0], pairs[:, 1]].astype(float), 0.5, crowd=2)
    meets = np.logical_or.reduce([keys[:, None] == keys[None, :] for keys in bands])
    kept: list[int] = []
    for row in range(30):
        if not (alike & meets)[kept, row].any():
            kept.append(row)
    assert np.flatnonzero(on_behalf(30, found.edges)[0] == np.arange(30)).tolist() == kept


def test_no_pair_over_the_threshold_is_ruled_out_by_its_hashes() -> None:
    rng = random.Random(6)
    left = [prose(rng, 150) for _ in range(300)]
    right = [edited(rng, words, rng.randrange(1, 12)) for words in left]
    texts = [" ".join(words) for words in (*left, *right, *(prose(rng, 150) for _ in range(300)))]
    parts = [shingles(split_words(piece), 5) for piece in pieces(texts)]
    hashes = MinHashes([sketches(part).astype(np.uint8) for part in parts])
    sizes = np.concatenate([part.sizes for part in parts])
    pairs = np.array([(at, at + 300) for at in range(600)])
    true = np.array([jaccard(texts[a], texts[b]) for a, b in pairs.tolist()])
    for threshold in (0.5, 0.75, 0.9, 1.0):
        likely = may_reach(hashes, sizes, pairs, threshold)
        assert likely[true >= threshold].all()
        assert not likely[300:].any()


def test_a_spent_budget_is_told() -> None:
    one_bucket = [np.zeros(100, np.uint64)]
    found = verified(one_bucket, 100, lambda pairs: np.zeros(len(pairs)), 0.5, budget=500)
    assert found.compared <= 500
    assert found.uncompared.tolist() == [99] * 100


def test_components_are_what_a_walk_finds() -> None:
    rng = random.Random(5)
    pairs = [(rng.randrange(300), rng.randrange(300)) for _ in range(200)]
    near: dict[int, set[int]] = {at: set() for at in range(300)}
    for a, b in pairs:
        near[a].add(b)
        near[b].add(a)
    expected = list(range(300))
    for at in range(300):
        walk, seen = [at], {at}
        while walk:
            for other in near[walk.pop()] - seen:
                seen.add(other)
                walk.append(other)
        expected[at] = min(seen)
    assert components(300, np.array(pairs)).tolist() == expected


def test_a_removed_row_goes_for_the_most_similar_kept_one() -> None:
    edges = Edges(np.array([[0, 3], [1, 3], [2, 3], [0, 2]]), np.array([0.8, 0.9, 0.99, 0.8]))
    survivor, similarity = on_behalf(4, edges)
    assert survivor.tolist() == [0, 1, 0, 1]  # 2 is the most similar to 3, but it is not kept
    assert similarity.tolist() == [1, 1, 0.8, 0.9]
