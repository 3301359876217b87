"""Law 6, lengths, and a cache whose key is the content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hone.data.ledger import OVERLONG, UNKNOWN_LABEL, Ledger
from hone.data.read import read
from hone.data.rows import Row
from hone.data.tokenizer import TextTokenizer, train_tokenizer
from hone.data.tokens import Examples, check_supervised, examples, windows
from hone.errors import FailedError, InputError
from hone.task.load import load_task
from hone.task.render import Example, Renderer, task_prompt, task_reference

FIXTURES = Path(__file__).parent.parent / "data"


def rows_of(name: str, source: str) -> list[Row]:
    return [row for row in read(source, FIXTURES / name) if isinstance(row, Row)]


SOURCES = {"voice": "train.jsonl", "banking": "train.csv", "shakespeare": "train.txt"}


@pytest.fixture(scope="module")
def made() -> dict[str, tuple[list[Row], Renderer]]:
    found = {}
    for name, source in SOURCES.items():
        task, rows = load_task(FIXTURES / name), rows_of(name, source)
        labels = sorted({task_reference(task, row.fields) for row in rows}) if task.kind == "classify" else []
        tokenizer = train_tokenizer([task_prompt(task, row.fields) for row in rows], 500, labels)
        found[name] = (rows, Renderer.of_task(task, tokenizer, labels=labels))
    return found


def make(rows: list[Row], renderer: Renderer, cache: Path, **more: Any) -> tuple[Examples, list[str]]:
    said: list[str] = []
    wish: dict[str, Any] = {"context": 256, "overlong": "error", "say": said.append, **more}
    return examples(rows, renderer, cache, **wish), said


def same(one: Examples, other: Examples) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(a.ids, b.ids)
        and np.array_equal(a.supervised, b.supervised)
        and (a.prompt_len, a.label, a.row, a.ids.dtype) == (b.prompt_len, b.label, b.row, b.ids.dtype)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("name", SOURCES)
def test_every_row_has_a_supervised_token_and_end_and_the_cache_gives_the_same(
    name: str, made: dict[str, tuple[list[Row], Renderer]], tmp_path: Path
) -> None:
    rows, renderer = made[name]
    fresh, said = make(rows, renderer, tmp_path, context=4000 if name == "shakespeare" else 256)
    assert [example.row for example in fresh] == [row.id for row in rows]
    for example in fresh:
        assert example.ids[-1] == renderer.end_id
        assert example.supervised[-1]
        assert example.supervised.sum() >= 2
        assert not example.supervised[: example.prompt_len].any()
    assert fresh.key in said[0]
    again, said_again = make(rows, renderer, tmp_path, context=4000 if name == "shakespeare" else 256)
    assert "from the cache" in said_again[0]
    assert same(fresh, again)


def test_the_key_follows_everything_that_changes_the_ids(
    made: dict[str, tuple[list[Row], Renderer]], tmp_path: Path
) -> None:
    rows, renderer = made["voice"]
    other_row = [*rows[:-1], Row(rows[-1].id, {**rows[-1].fields, "text": "something else"})]
    other_tokenizer = train_tokenizer(["another text altogether"], 300)
    task = load_task(FIXTURES / "voice")
    keys = [
        make(rows, renderer, tmp_path)[0].key,
        make(other_row, renderer, tmp_path)[0].key,
        make(rows[:-1], renderer, tmp_path)[0].key,
        make(rows, Renderer.of_task(task, renderer.tokenizer, layout="json"), tmp_path)[0].key,
        make(rows, Renderer.of_task(task, other_tokenizer), tmp_path, context=1000)[0].key,
        make(rows, renderer, tmp_path, context=1000)[0].key,
        make(rows, renderer, tmp_path, overlong="drop")[0].key,
    ]
    assert len(set(keys)) == len(keys)


def test_a_damaged_cache_file_is_said_and_made_again(
    made: dict[str, tuple[list[Row], Renderer]], tmp_path: Path
) -> None:
    rows, renderer = made["voice"]
    fresh, _ = make(rows, renderer, tmp_path)
    (path,) = tmp_path.glob("tokens-*.safetensors")
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-100] ^= 1
    for damaged in (whole[:-50], bytes(flipped), b""):
        path.write_bytes(damaged)
        again, said = make(rows, renderer, tmp_path)
        assert "damaged" in said[0]
        assert same(fresh, again)
        assert path.read_bytes() == whole


def test_overlong_rows_are_an_error_with_counts_or_go_to_the_ledger(
    made: dict[str, tuple[list[Row], Renderer]], tmp_path: Path
) -> None:
    rows, renderer = made["voice"]
    lengths = {example.row: len(example.ids) for example in make(rows, renderer, tmp_path)[0]}
    longest = max(lengths, key=lambda row: lengths[row])
    context = sorted(lengths.values())[-6]
    over = {row for row, length in lengths.items() if length > context}
    with pytest.raises(InputError, match=f"train: {len(over)} of {len(rows)} rows are longer") as caught:
        make(rows, renderer, tmp_path, context=context)
    assert f"{longest} ({lengths[longest]})" in str(caught.value)
    assert f"set device.context to {lengths[longest]} or more" in str(caught.value)
    books = Ledger(read={"train": len(rows) + 5}, kept={"train": len(rows), "test": 5})
    for _ in range(2):  # made, then from the cache
        kept, said = make(rows, renderer, tmp_path, context=context, overlong="drop", ledger=books)
        assert {entry.row for entry in kept.left_out} == over
        assert kept.ledger.counts() == {OVERLONG: len(over)}
        assert len(kept) + len(over) == len(rows) == kept.ledger.kept["train"] + len(over)
        assert any(f"train: {len(over)} rows left out, overlong" in line for line in said)


def test_documents_are_cut_without_losing_or_repeating_an_id(
    made: dict[str, tuple[list[Row], Renderer]], tmp_path: Path
) -> None:
    rows, renderer = made["shakespeare"]
    whole, _ = make(rows, renderer, tmp_path, context=4000)
    cut, said = make(rows, renderer, tmp_path, context=64, overlong="split")
    assert all(len(example.ids) <= 64 for example in cut)
    pieces: dict[str, list[Example]] = {}
    for example in cut:
        pieces.setdefault(example.row.rpartition("#")[0] or example.row, []).append(example)
    for example in whole:
        mine = pieces[example.row]
        assert np.array_equal(np.concatenate([example.ids[:1], *(piece.ids[1:] for piece in mine)]), example.ids)
        assert all(
            piece.ids[0] == example.ids[0] and not piece.supervised[0] and piece.supervised[1:].all() for piece in mine
        )
        # The end stands where the document ends and nowhere else.
        assert [renderer.end_id in piece.ids for piece in mine] == [False] * (len(mine) - 1) + [True]
    assert cut.num_supervised == whole.num_supervised
    assert cut.ledger.kept == {"train": len(rows)}
    assert any("documents longer than 64 ids are cut into" in line for line in said)


def test_windows_never_leave_an_empty_piece() -> None:
    for length in range(3, 40):
        ids = np.arange(length, dtype=np.int32)
        example = Example(ids=ids, supervised=ids > 0, prompt_len=1, label=None, row="a:1")
        assert all(len(piece.ids) >= 2 for piece in windows(example, 8))


def test_rows_with_a_label_that_train_lacks_go_to_the_ledger(
    made: dict[str, tuple[list[Row], Renderer]], tmp_path: Path
) -> None:
    rows, renderer = made["banking"]
    odd = Row("dev.csv:9", {**rows[0].fields, "category": "of_its_own"})
    found, said = make([*rows[:5], odd], renderer, tmp_path, split="dev")
    assert len(found) == 5
    assert [(entry.row, entry.source) for entry in found.left_out] == [("dev.csv:9", "dev")]
    assert any(f"dev: 1 row left out, {UNKNOWN_LABEL}: dev.csv:9 (of_its_own)" in line for line in said)


@pytest.mark.parametrize(
    ("ids", "supervised", "found"),
    [
        ([5, 2, 3], [False, False, False], "has 0 supervised tokens"),
        ([5, 2, 7], [False, True, True], "ends in id 7"),
        ([5, 2, 7, 3], [True, False, True, True], "1 prompt tokens are supervised"),
    ],
)
def test_a_row_without_supervision_where_it_belongs_is_refused(
    ids: list[int], supervised: list[bool], found: str
) -> None:
    example = Example(
        ids=np.array(ids, dtype=np.int32), supervised=np.array(supervised), prompt_len=2, label=None, row="a:7"
    )
    with pytest.raises(FailedError, match=f"row a:7.*{found}"):
        check_supervised(example, end_id=3)


def test_only_a_tokenizer_with_a_hash_is_cached(made: dict[str, tuple[list[Row], Renderer]], tmp_path: Path) -> None:
    rows, renderer = made["voice"]

    class Other:
        vocab_size = 10

        def encode(self, text: str) -> list[int]:
            return [5]

        def decode(self, ids: Any) -> str:
            return ""

        def special_id(self, name: str) -> int:
            return 1

    assert isinstance(renderer.tokenizer, TextTokenizer)
    with pytest.raises(FailedError, match="Other has no hash"):
        make(rows, Renderer.of_task(load_task(FIXTURES / "voice"), Other()), tmp_path)
