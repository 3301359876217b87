"""Rows to examples, once per content: rendered, checked for length and supervision, and kept in the cache.

The cache key hashes the rows, the renderer, the tokenizer, the length rule and this step's version, so a
stale file is never opened. One safetensors file holds the ids of all examples end to end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

import numpy as np

from hone.data import token_file
from hone.data.ledger import OVERLONG, UNKNOWN_LABEL, Entry, Ledger, Reason
from hone.data.rows import Row, rows_digest
from hone.data.tokenizer import TextTokenizer
from hone.errors import FailedError, InputError
from hone.files import content_hash
from hone.task.render import Example, Renderer
from hone.task.spec import Overlong
from hone.wording import counted

STEP = "tokens-1"
SHOWN = 3
_PIECE = re.compile(r"#\d+$")
Say = Callable[[str], None]


class Examples(Sequence[Example]):
    """The examples of one split, with the books.

    ``key`` names their content; ``ledger`` accounts for the rows (a cut document is one row) and, where the data's
    ledger was handed in, goes on from it; ``left_out`` are this step's entries.
    """

    def __init__(self, examples: Sequence[Example], key: str, ledger: Ledger, left_out: tuple[Entry, ...]) -> None:
        self._examples = tuple(examples)
        self.key = key
        self.ledger = ledger
        self.left_out = left_out

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Example, ...]: ...
    def __getitem__(self, index: int | slice) -> Example | tuple[Example, ...]:
        return self._examples[index]

    def __len__(self) -> int:
        return len(self._examples)

    @property
    def num_tokens(self) -> int:
        """Ids in all examples."""
        return sum(len(example.ids) for example in self)

    @property
    def num_supervised(self) -> int:
        """Ids that carry loss."""
        return int(sum(example.supervised.sum() for example in self))


def examples(
    rows: Sequence[Row],
    renderer: Renderer,
    cache: Path,
    *,
    context: int,
    overlong: Overlong,
    say: Say,
    split: str = "train",
    ledger: Ledger | None = None,
) -> Examples:
    """Examples of rows, from the cache when their content is there.

    Args:
        rows: the rows of one split, in the order of the examples. Rows that are left out have no example, cut
            documents several: pair by ``example.row``.
        renderer: makes the ids; its tokenizer is part of the key.
        cache: folder of cached files.
        context: longest example in ids.
        overlong: what happens to longer rows: ``error``, ``drop`` (to the ledger), ``split`` (language-model: cut
            into windows that each begin with ``<|begin|>``; only the last one has the ``<|end|>``). ``drop-turns`` is
            done by the renderer; what is too long all the same is an error.
        say: takes the key, and a line on every row that is cut or left out.
        split: the name of the rows' split, for sentences and the ledger.
        ledger: the data's books, which the result's go on from; without them they start with these rows.

    Raises:
        InputError: for overlong rows under ``error``, with count, lengths and ids.
    """
    key = content_hash([STEP, rows_digest(rows), renderer.to_json(), tokenizer_hash(renderer), context, overlong])
    path = cache / f"tokens-{key}.safetensors"
    stored = token_file.load(path, say)
    if stored is None:
        made, entries = _render(rows, renderer, context, overlong, split)
        token_file.save(path, made, entries)
    else:
        made, entries = stored
        entries = tuple(replace(entry, source=split) for entry in entries)
    books = ledger or Ledger(read={split: len(rows)}, kept={split: len(rows)})
    found = Examples(made, key, books.without(split, entries), entries)
    _say(found, context, split, stored is None, say)
    if overlong == "drop-turns":
        _say_shortened(rows, found, renderer, context, split, say)
    return found


def tokenizer_hash(renderer: Renderer) -> str:
    """The hash of a renderer's tokenizer."""
    if not isinstance(renderer.tokenizer, TextTokenizer):
        raise FailedError(f"tokens are cached by tokenizer, and {type(renderer.tokenizer).__name__} has no hash")
    return renderer.tokenizer.hash


def _render(
    rows: Sequence[Row], renderer: Renderer, context: int, overlong: Overlong, split: str
) -> tuple[tuple[Example, ...], tuple[Entry, ...]]:
    made: list[Example] = []
    entries: list[Entry] = []
    too_long: list[tuple[Row, Example]] = []
    known = set(renderer.labels)
    for row in rows:
        if renderer.kind == "classify" and (label := renderer.reference(row.fields)) not in known:
            entries.append(Entry(row=row.id, source=split, reasons=(Reason(UNKNOWN_LABEL, label),)))
            continue
        example = renderer.example(row.id, row.fields)
        check_supervised(example, renderer.end_id)
        if pieces := within_context(example, context, overlong):
            made += pieces
        else:
            too_long.append((row, example))
            evidence = f"{len(example.ids):,} tokens, context {context:,}"
            entries.append(Entry(row=row.id, source=split, reasons=(Reason(OVERLONG, evidence),)))
    if too_long and overlong in ("error", "drop-turns"):
        raise InputError(_too_long(too_long, len(rows), renderer, context, split))
    return tuple(made), tuple(entries)


def _too_long(found: Sequence[tuple[Row, Example]], num_rows: int, renderer: Renderer, context: int, split: str) -> str:
    longest = sorted((example for _, example in found), key=lambda example: -len(example.ids))
    shown = ", ".join(f"{example.row} ({len(example.ids):,})" for example in longest[:SHOWN])
    how, others = "", ""
    if (conversation := renderer.conversation) is not None:
        if conversation.form.longest is not None:
            left = sum(_num_left(renderer, row, example) for row, example in found)
            how = f" with their system turn, last question and answer alone, {counted(left, 'older turn')} having left"
        else:
            fitting = sum(conversation.num_ids_at_least(row.fields) <= context for row, _ in found)
            others = f"`overlong: drop-turns` to let their oldest turns leave (enough for {fitting:,} of these), "
    return (
        f"{split}: {len(found):,} of {counted(num_rows, 'row')} {'is' if len(found) == 1 else 'are'} longer than the "
        f"context of {context:,} tokens{how}; the longest: {shown}; set device.context to {len(longest[0].ids):,} or "
        f"more, {others}or `overlong: drop` to leave these rows out"
    )


def _num_left(renderer: Renderer, row: Row, example: Example) -> int:
    """Turns that left from the front of a conversation."""
    conversation = renderer.conversation
    assert conversation is not None, "only turns of conversations leave"
    return len(conversation.form.turns(row.fields)) - conversation.num_turns(example.ids.tolist())


def check_supervised(example: Example, end_id: int) -> None:
    """Law 6: a supervised id and a supervised end in every row, and nothing supervised in the prompt.

    A row for an encoder writes nothing: it has a supervised position.

    Raises:
        FailedError: naming the row.
    """
    supervised = example.supervised
    if example.reads_both_ways:
        if not supervised.any():
            raise FailedError(f"row {example.row} has no supervised position among its {len(supervised):,} tokens")
        return
    if supervised.sum() < 2 or not supervised[-1] or example.ids[-1] != end_id:
        raise FailedError(
            f"row {example.row} has {int(supervised.sum())} supervised tokens and ends in id {example.ids[-1]}; "
            f"expected at least one and the supervised end {end_id}"
        )
    if supervised[: example.prompt_len].any():
        count = int(supervised[: example.prompt_len].sum())
        raise FailedError(f"row {example.row}: {count} prompt tokens are supervised")


def within_context(example: Example, context: int, overlong: Overlong) -> list[Example]:
    """What of an example is read: itself, its pieces where the rule is ``split``, or nothing where it is too long."""
    if len(example.ids) <= context:
        return [example]
    return windows(example, context) if overlong == "split" else []


def windows(example: Example, context: int) -> list[Example]:
    """Cut a document into pieces of at most ``context`` ids, each with what stands before the document in front.

    Every id but those (its begin, a soft prompt) stands in exactly one piece and is supervised there once. The last
    piece ends with the end, the others do not: the document goes on. Rows are ``<id>#1``, ``<id>#2``, ... For an
    encoder each piece stands between both marks.
    """
    if example.reads_both_ways:
        return _windows_between_marks(example, context)
    before = example.prompt_len
    size = context - before
    begin, rest = example.ids[:before], example.ids[before:]
    pieces = []
    for number, start in enumerate(range(0, len(rest), size), 1):
        ids = np.concatenate([begin, rest[start : start + size]])
        supervised = np.ones(len(ids), dtype=np.bool_)
        supervised[:before] = False
        row = f"{example.row}#{number}"
        pieces.append(Example(ids=ids, supervised=supervised, prompt_len=before, label=None, row=row))
    return pieces


def _windows_between_marks(example: Example, context: int) -> list[Example]:
    inner, size = example.ids[1:-1], context - 2
    pieces = []
    for number, start in enumerate(range(0, len(inner), size), 1):
        ids = np.concatenate([example.ids[:1], inner[start : start + size], example.ids[-1:]])
        supervised = np.ones(len(ids), dtype=np.bool_)
        supervised[[0, -1]] = False
        row = f"{example.row}#{number}"
        pieces.append(replace(example, ids=ids, supervised=supervised, prompt_len=len(ids), row=row, targets=ids))
    return pieces


def _say_shortened(
    rows: Sequence[Row], found: Examples, renderer: Renderer, context: int, split: str, say: Say
) -> None:
    """Count the turns that left from the front of conversations."""
    by_id = {row.id: row for row in rows}
    lost = [(example.row, _num_left(renderer, by_id[example.row], example)) for example in found]
    shortened = [(row, count) for row, count in lost if count]
    if shortened:
        turns, shown = sum(count for _, count in shortened), ", ".join(row for row, _ in shortened[:SHOWN])
        say(
            f"{split}: {counted(turns, 'turn')} left from the front of {counted(len(shortened), 'conversation')} "
            f"longer than {context:,} ids (overlong: drop-turns), the first: {shown}"
        )


def _say(found: Examples, context: int, split: str, fresh: bool, say: Say) -> None:
    where = "made" if fresh else "from the cache"
    longest = max((len(example.ids) for example in found), default=0)
    say(
        f"{split} tokens {found.key} {where}: {counted(len(found), 'example')}, {found.num_tokens:,} ids, "
        f"{found.num_supervised:,} supervised, longest {longest:,} of {context:,}"
    )
    pieces = [example.row for example in found if _PIECE.search(example.row)]
    cut = len({row.rpartition("#")[0] for row in pieces})
    if cut:
        say(f"{split}: {cut:,} documents longer than {context:,} ids are cut into {len(pieces):,} pieces")
    for name in (OVERLONG, UNKNOWN_LABEL):
        rows = [f"{e.row} ({e.reasons[0].evidence})" for e in found.left_out if e.reasons[0].name == name]
        if rows:
            shown = ", ".join(rows[:SHOWN]) + (", ..." if len(rows) > SHOWN else "")
            say(f"{split}: {counted(len(rows), 'row')} left out, {name}: {shown}")
