"""Rows to examples, once per content: rendered, checked for length and supervision, and kept in the cache.

The cache key hashes the rows, the renderer, the tokenizer, the length rule and this step's version, so a
stale file is never opened. One safetensors file holds the ids of all examples end to end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hone.data import token_file
from hone.data.ledger import OVERLONG, UNKNOWN_LABEL, Entry, Ledger, Reason
from hone.data.rows import Row, rows_digest
from hone.data.tokenizer import TextTokenizer
from hone.errors import FailedError, InputError
from hone.files import content_hash
from hone.task.render import Example, Renderer
from hone.task.spec import Overlong

STEP = "tokens-1"
SHOWN = 3
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokenized:
    """Examples of one split with the books: ``ledger`` counts rows, a cut document being one row."""

    examples: tuple[Example, ...]
    ledger: Ledger
    key: str

    @property
    def num_tokens(self) -> int:
        """Ids in all examples."""
        return sum(len(example.ids) for example in self.examples)

    @property
    def num_supervised(self) -> int:
        """Ids that carry loss."""
        return int(sum(example.supervised.sum() for example in self.examples))


def tokenize(
    rows: Sequence[Row],
    renderer: Renderer,
    *,
    context: int,
    overlong: Overlong,
    cache: Path,
    say: Say,
    split: str = "train",
) -> Tokenized:
    """Examples of rows, from the cache when their content is there.

    Args:
        rows: the rows of one split, in the order of the examples.
        renderer: makes the ids; its tokenizer is part of the key.
        context: longest example in ids.
        overlong: what happens to longer rows: ``error``, ``drop`` (to the ledger), ``split`` (language-model: cut
            into windows that each begin with ``<|begin|>``; only the last one has the ``<|end|>``).
        cache: folder of cached files.
        say: takes the key, and a line on every row that is cut or left out.
        split: the name of the rows' split, for sentences and the ledger.

    Raises:
        InputError: for overlong rows under ``error``, with count, lengths and ids.
    """
    key = content_hash([STEP, rows_digest(rows), renderer.to_json(), tokenizer_hash(renderer), context, overlong])
    path = cache / f"tokens-{key}.safetensors"
    stored = token_file.load(path, say)
    fresh = stored is None
    if stored is None:
        examples, entries = _render(rows, renderer, context, overlong, split)
        token_file.save(path, examples, entries)
    else:
        examples, entries = stored
    kept = {split: len(rows) - len(entries)}
    tokens = Tokenized(
        examples=examples, ledger=Ledger(read={split: len(rows)}, kept=kept, entries=entries), key=key
    )
    _say(tokens, context, split, fresh, say)
    return tokens


def tokenizer_hash(renderer: Renderer) -> str:
    """The hash of a renderer's tokenizer."""
    if not isinstance(renderer.tokenizer, TextTokenizer):
        raise FailedError(f"tokens are cached by tokenizer, and {type(renderer.tokenizer).__name__} has no hash")
    return renderer.tokenizer.hash


def _render(
    rows: Sequence[Row], renderer: Renderer, context: int, overlong: Overlong, split: str
) -> tuple[tuple[Example, ...], tuple[Entry, ...]]:
    examples: list[Example] = []
    entries: list[Entry] = []
    too_long: list[Example] = []
    known = set(renderer.labels)
    for row in rows:
        if renderer.kind == "classify" and (label := renderer.reference(row.fields)) not in known:
            entries.append(Entry(row=row.id, source=split, reasons=(Reason(UNKNOWN_LABEL, label),)))
            continue
        example = renderer.example(row.id, row.fields)
        check_supervised(example, renderer.end_id)
        if len(example.ids) <= context:
            examples.append(example)
        elif overlong == "split":
            examples += windows(example, context)
        else:
            too_long.append(example)
            evidence = f"{len(example.ids):,} tokens, context {context:,}"
            entries.append(Entry(row=row.id, source=split, reasons=(Reason(OVERLONG, evidence),)))
    if too_long and overlong == "error":
        raise InputError(_too_long(too_long, len(rows), context, split))
    return tuple(examples), tuple(entries)


def _too_long(examples: Sequence[Example], num_rows: int, context: int, split: str) -> str:
    longest = sorted(examples, key=lambda example: -len(example.ids))
    shown = ", ".join(f"{example.row} ({len(example.ids):,})" for example in longest[:SHOWN])
    return (
        f"{split}: {len(examples):,} of {num_rows:,} rows are longer than the context of {context:,} tokens; "
        f"the longest: {shown}; set device.context to {len(longest[0].ids):,} or more, "
        "or `overlong: drop` to leave these rows out"
    )


def check_supervised(example: Example, end_id: int) -> None:
    """Law 6: a supervised id and a supervised end in every row, and nothing supervised in the prompt.

    Raises:
        FailedError: naming the row.
    """
    supervised = example.supervised
    if supervised.sum() < 2 or not supervised[-1] or example.ids[-1] != end_id:
        raise FailedError(
            f"row {example.row} has {int(supervised.sum())} supervised tokens and ends in id {example.ids[-1]}; "
            f"expected at least one and the supervised end {end_id}"
        )
    if supervised[: example.prompt_len].any():
        raise FailedError(f"row {example.row}: {int(supervised[: example.prompt_len].sum())} prompt tokens are supervised")


def windows(example: Example, context: int) -> list[Example]:
    """Cut a document into pieces of at most ``context`` ids, each with the document's first id in front.

    Every id but that first one stands in exactly one piece and is supervised there once. The last piece ends with
    the end, the others do not: the document goes on. Rows are ``<id>#1``, ``<id>#2``, ...
    """
    size = context - 1
    begin, rest = example.ids[:1], example.ids[1:]
    pieces = []
    for number, start in enumerate(range(0, len(rest), size), 1):
        ids = np.concatenate([begin, rest[start : start + size]])
        supervised = np.ones(len(ids), dtype=np.bool_)
        supervised[0] = False
        pieces.append(Example(ids=ids, supervised=supervised, prompt_len=1, label=None, row=f"{example.row}#{number}"))
    return pieces


def _say(tokens: Tokenized, context: int, split: str, fresh: bool, say: Say) -> None:
    where = "made" if fresh else "from the cache"
    longest = max((len(example.ids) for example in tokens.examples), default=0)
    say(
        f"{split} tokens {tokens.key} {where}: {len(tokens.examples):,} examples, {tokens.num_tokens:,} ids, "
        f"{tokens.num_supervised:,} supervised, longest {longest:,} of {context:,}"
    )
    pieces = [example.row for example in tokens.examples if "#" in example.row]
    cut = len({row.rpartition("#")[0] for row in pieces})
    if cut:
        say(f"{split}: {cut:,} documents longer than {context:,} ids are cut into {len(pieces):,} pieces, nothing is lost")
    for reason, count in tokens.ledger.counts().items():
        rows = [f"{entry.row} ({entry.reasons[0].evidence})" for entry in tokens.ledger.entries]
        shown = ", ".join(rows[:SHOWN]) + (", ..." if len(rows) > SHOWN else "")
        say(f"{split}: {count:,} rows left out, {reason}: {shown}")
