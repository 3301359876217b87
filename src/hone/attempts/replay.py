"""Replay: documents of plain text mixed into training, so that a base forgets less of what it could do before.

Which documents an epoch has is a function of the seed and the epoch, as its order is: a resumed run sees the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hone.data.read import find, read
from hone.data.rows import Bad, Row, told
from hone.data.tokenizer import TextTokenizer
from hone.data.tokens import Examples
from hone.data.tokens import examples as examples_of
from hone.errors import InputError
from hone.task.recipe import Recipe
from hone.task.render import Example, Renderer

Say = Callable[[str], None]
FIELD = "text"
STREAM = 3
"""Tells the generator of the replayed documents from those of order and batches."""


def replay_documents(recipe: Recipe, tokenizer: TextTokenizer, folder: Path, cache: Path, say: Say) -> Examples | None:
    """The documents of ``recipe.replay`` as examples of plain text, cut at the context; None where it is not set.

    Args:
        recipe: names the file, relative to ``folder``.
        tokenizer: of the model that is trained.
        folder: the task folder.
        cache: where tokens are kept, ``FOLDER/.hone/cache``.
        say: takes a line on what is mixed in.

    Raises:
        InputError: no such file, rows without a text, or no text at all.
    """
    if not recipe.replay:
        return None
    rows: list[Row] = []
    bad: list[Bad] = []
    for row in read(find(recipe.replay, folder), folder):
        if isinstance(row, Bad):
            bad.append(row)
        elif isinstance(text := row.fields.get(FIELD), str) and text.strip():
            rows.append(row)
        else:
            bad.append(Bad(row.id, FIELD, "a text", f"the columns {', '.join(row.fields) or 'none'}"))
    if bad or not rows:
        what = f"{len(bad):,} of its rows are no documents: {told(bad[:3])}" if bad else "it holds no text"
        raise InputError(f"replay {recipe.replay}: {what}; expected plain text, or rows with a column {FIELD}")
    renderer = Renderer(kind="language-model", input_template=None, output_template=f"{{{FIELD}}}", tokenizer=tokenizer)
    return examples_of(rows, renderer, cache, context=recipe.context, overlong="split", split="replay", say=say)


def replayed(count: int, documents: Sequence[Example], recipe: Recipe, epoch: int) -> list[Example]:
    """The documents that are mixed with ``count`` rows of an epoch, so that they are ``replay_share`` of all.

    All are used before one comes again.
    """
    wanted = round(count * recipe.replay_share / (1 - recipe.replay_share))
    order = np.random.default_rng([recipe.seed, epoch, STREAM])
    chosen: list[Example] = []
    while documents and len(chosen) < wanted:
        chosen += [documents[int(index)] for index in order.permutation(len(documents))[: wanted - len(chosen)]]
    return chosen


def replay_line(count: int, documents: Sequence[Example], recipe: Recipe) -> str:
    """What is mixed in, for people."""
    wanted = len(replayed(count, documents, recipe, 0))
    again = f", each {wanted / len(documents):.1f} times" if wanted > len(documents) else ""
    return (
        f"replay: {wanted:,} of {len(documents):,} pieces of {recipe.replay} beside {count:,} rows in an epoch{again} "
        f"({recipe.replay_share:.0%} of the rows)"
    )
