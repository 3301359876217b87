"""How long the rows of a new task are in tokens, and the context and rule for longer ones that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hone.cli.columns import Looked, Proposal
from hone.data.rendered_with import renderer_trained_on
from hone.data.rows import Row
from hone.task.encoding import EncoderRenderer
from hone.task.layouts import answer_text
from hone.task.render import Renderer, task_prompt, task_reference
from hone.task.spec import LISTED, Task
from hone.wording import counted

CONTEXTS = (256, 512, 1024, 2048)
"""Contexts that are proposed without asking what they cost."""
LONGER = (4096, 8192)
"""Those that are proposed where too much would be lost in the usual ones."""
MARGIN = 1.05
"""A run trains its tokenizer on its training rows alone, so that a row may become a little longer than here."""
WHOLE, SHORTENED = 0.95, 0.9
"""Shares of the rows that a context must hold: where longer ones are left out, and where they lose turns."""
AROUND = 8
"""Tokens around a prompt and an answer at most: marks, spaces, ends."""
LEARNED_CHARS = 1_000_000
MEASURED_BYTES = 4_000_000
"""Of the longest rows, which are measured exactly; of shorter ones the length follows from their bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lengths:
    """Tokens of the rows, with a margin.

    ``least`` is what is left of a conversation when all turns but the system's, the last question and its answer have
    left; elsewhere it is the row itself. ``ids`` is the size of the tokenizer, 0 where bytes were enough to know.
    """

    whole: Sequence[int]
    least: Sequence[int]
    ids: int = 0

    def longer_than(self, context: int) -> int:
        """Rows that do not fit."""
        return sum(length > context for length in self.whole)

    def stay_longer_than(self, context: int) -> int:
        """Rows that do not fit when their first turns have left."""
        return sum(length > context for length in self.least)


def propose_context(task: Task, looked: Looked) -> tuple[Proposal, Proposal | None]:
    """The context, and what is to happen to longer rows where some are; None where none are.

    Where all rows fit into a usual context it is the smallest of these. Else a longer one is taken only as far as it
    needs to be for nearly all rows, and the others lose their oldest turns, or are left out.
    """
    if task.kind == "language-model":
        return Proposal(value=CONTEXTS[0], why="documents are split"), None
    found = measure(task, looked.rows)
    longest = max(found.whole)
    how = f"counted by a tokenizer of {found.ids:,} trained on them" if found.ids else "a byte being at most one"
    why = f"the longest of {looked.count()} has about {longest:,} tokens, {how}"
    fitting = next((size for size in CONTEXTS if size >= longest), None)
    if fitting is not None:
        return Proposal(value=fitting, why=why), None
    sizes, rows = (CONTEXTS[-1], *LONGER), len(found.whole)
    if task.conversation is not None:
        for size in sizes:
            if not found.stay_longer_than(size) and found.longer_than(size) <= (1 - SHORTENED) * rows:
                return Proposal(value=size, why=why), _longer(found, size, "drop-turns")
    # Without turns that could leave, or where that is not enough.
    size = next((size for size in sizes if found.longer_than(size) <= (1 - WHOLE) * rows), sizes[-1])
    return Proposal(value=size, why=why), _longer(found, size, "drop") if found.longer_than(size) else None


def _longer(found: Lengths, context: int, rule: str) -> Proposal | None:
    """What happens to the rows that are longer, with their number."""
    count = found.longer_than(context)
    if not count:
        return None
    are, oldest, fit = ("is", "its", "it fits") if count == 1 else ("are", "their", "they fit")
    rows = f"{count:,} of {counted(len(found.whole), 'row')} {are} longer than {context:,} tokens"
    if rule == "drop-turns":
        return Proposal(value=rule, why=f"{rows}: {oldest} oldest turns leave until {fit}, never the system's")
    return Proposal(value=rule, why=f"{rows} and left out, counted; a context of {max(found.whole):,} would keep all")


def measure(task: Task, rows: Sequence[Row]) -> Lengths:
    """Tokens of each row: at most its bytes where that is short enough to know, else counted.

    The longest rows are counted, as many as :data:`MEASURED_BYTES` hold; of the others no more is said than that they
    have at most as many tokens a byte as any of those.
    """
    sizes = [_row_bytes(task, row) for row in rows]
    if max(sizes) <= CONTEXTS[0]:
        return Lengths(whole=sizes, least=sizes)
    order = sorted(range(len(rows)), key=lambda index: -sizes[index])
    renderer, _ = renderer_trained_on(task, _spread(task, rows), _labels(task, rows), LEARNED_CHARS)
    whole, least = list(sizes), list(sizes)
    counted_bytes, most = 0, 0.0
    for index in order:
        if counted_bytes < MEASURED_BYTES:
            lengths = _lengths(renderer, rows[index])
            counted_bytes, most = counted_bytes + sizes[index], max(most, lengths[0] / sizes[index])
        else:
            lengths = (round(most * sizes[index]), round(most * sizes[index]))
        whole[index], least[index] = (round(MARGIN * length) for length in lengths)
    return Lengths(whole=whole, least=least, ids=renderer.tokenizer.vocab_size)


def _lengths(renderer: Renderer, row: Row) -> tuple[int, int]:
    """Ids of a row, and of it with its last exchange alone."""
    if isinstance(renderer, EncoderRenderer):
        ids = len(renderer.prompt_ids(row.fields))
        return ids, ids
    ids = len(renderer.example(row.id, row.fields).ids)
    return ids, ids if renderer.conversation is None else renderer.conversation.num_ids_at_least(row.fields)


def _spread(task: Task, rows: Sequence[Row]) -> list[Row]:
    """Rows of the whole source, about as many as the tokenizer learns from."""
    chars = sum(_row_bytes(task, row) for row in rows[:200]) / min(200, len(rows))
    return list(rows[:: max(1, int(chars * len(rows) / LEARNED_CHARS))])


def _labels(task: Task, rows: Sequence[Row]) -> list[str]:
    return sorted({str(task_reference(task, row.fields)) for row in rows}) if task.kind == "classify" else []


def _row_bytes(task: Task, row: Row) -> int:
    """Bytes of prompt and answer, and the special tokens around them."""
    listed = task.kind == "classify" or task.kind in LISTED
    answer = "" if listed else answer_text(task.kind, "spaced-json", task_reference(task, row.fields))
    return len((task_prompt(task, row.fields) + answer).encode("utf-8", "replace")) + AROUND
