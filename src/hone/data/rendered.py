"""Rows as the model gets them: token after token, what is prompt and what is supervised (``hone look --tokens``).

Two colours say which tokens carry loss; within a colour the shade changes from token to token.
"""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hone.data.prepare import DataVersion
from hone.data.rendered_with import renderer_to_look_with
from hone.data.rows import Row
from hone.data.split import position
from hone.data.tokenizer import TextTokenizer
from hone.task.render import Example, Renderer, task_prompt, task_reference
from hone.task.spec import Task
from hone.wording import counted

Say = Callable[[str], None]
PROMPT_SHOWN, ANSWER_SHOWN = 300, 300
"""Tokens of a row that are shown of its prompt and of its answer; what is left out between is counted."""
_LONGEST_CHARACTER = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Text of one token; of ``tokens`` > 1 where several share a character or a stretch is left out (``gap``)."""

    text: str
    tokens: int
    supervised: bool
    special: bool = False
    gap: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedRow:
    """One row in tokens.

    ``why`` it was chosen (longest, shortest, random); ``num_tokens``, ``num_prompt`` and ``num_supervised`` count the
    whole row; ``note`` says what happens to it when it is longer than the context.
    """

    row: str
    why: str
    num_tokens: int
    num_prompt: int
    num_supervised: int
    pieces: tuple[Piece, ...]
    note: str = ""


def rendered_rows(
    task: Task, folder: Path, version: DataVersion, count: int, say: Say, *, seed: int = 0
) -> list[RenderedRow]:
    """Training rows as tokens: a quarter the longest, a quarter the shortest, the others at random.

    Args:
        task: its templates and context.
        folder: the task folder, for its runs.
        version: the data; only ``train`` is looked at.
        count: rows to show, eight being enough to see what is wrong.
        say: told which tokenizer is used, and how many tokens are supervised.
        seed: of the random rows.
    """
    renderer = renderer_to_look_with(task, folder, version, say)
    rows = [row for row in version.train if _is_known(renderer, row)]
    if len(rows) < len(version.train):
        left = len(version.train) - len(rows)
        hidden = counted(left, "row is", "rows are")
        say(f"tokens: {hidden} not shown, because this tokenizer has no token for their label")
    made = [_rendered(task, renderer, row, why) for row, why in _chosen(task, rows, count, seed)]
    total, supervised = sum(row.num_tokens for row in made), sum(row.num_supervised for row in made)
    if total:
        say(f"tokens: {supervised:,} of {total:,} in these {len(made)} rows are supervised ({supervised / total:.1%})")
    return made


def _chosen(task: Task, rows: Sequence[Row], count: int, seed: int) -> Iterator[tuple[Row, str]]:
    """Rows and why: by characters of prompt and answer, and by the hash of the row's id."""
    chars = {row.id: len(task_prompt(task, row.fields)) + len(str(task_reference(task, row.fields))) for row in rows}
    by_length = sorted(rows, key=lambda row: (chars[row.id], row.id))
    quarter = min(math.ceil(count / 4), len(rows) // 2)
    longest, shortest = by_length[len(rows) - quarter :][::-1], by_length[:quarter]
    taken = {row.id for row in (*longest, *shortest)}
    others = sorted((row for row in rows if row.id not in taken), key=lambda row: position(row.id, f"tokens {seed}"))
    left = max(0, count - len(taken))
    for why, part in (("longest", longest), ("shortest", shortest), ("random", others[:left])):
        yield from ((row, why) for row in part)


def _rendered(task: Task, renderer: Renderer, row: Row, why: str) -> RenderedRow:
    assert isinstance(renderer.tokenizer, TextTokenizer)  # renderer_to_look_with has no other
    example = renderer.example(row.id, row.fields)
    pieces = list(_pieces(example, renderer.tokenizer))
    return RenderedRow(
        row=row.id,
        why=why,
        num_tokens=len(example.ids),
        num_prompt=int((~example.supervised).sum()),
        num_supervised=int(example.supervised.sum()),
        # An encoder's supervised positions stand among what it reads.
        pieces=tuple(_cut(pieces, PROMPT_SHOWN) if example.reads_both_ways else _shortened(pieces)),
        note=_note(task, len(example.ids)),
    )


def _pieces(example: Example, tokenizer: TextTokenizer) -> Iterator[Piece]:
    """The text that each token adds; tokens that end inside a character wait for the rest of it.

    A token alone would lose the space before a word in some tokenizers, so each is decoded behind the one before it.
    """
    names = {one: name for name, one in tokenizer.specials.items()}
    before: list[int] = []
    held: list[int] = []
    ids, supervised = example.ids.tolist(), example.supervised.tolist()
    for at, (one, is_supervised) in enumerate(zip(ids, supervised, strict=True)):
        if one in names:
            yield Piece(text=names[one], tokens=1, supervised=is_supervised, special=True)
            before = []
            continue
        held.append(one)
        text = tokenizer.decode([*before, *held])[len(tokenizer.decode(before)) :]
        goes_on = at + 1 < len(ids) and ids[at + 1] not in names and supervised[at + 1] == is_supervised
        if text.endswith("\ufffd") and goes_on and len(held) < _LONGEST_CHARACTER:
            continue
        yield Piece(text=text, tokens=len(held), supervised=is_supervised)
        before, held = held, []


def _shortened(pieces: list[Piece]) -> list[Piece]:
    """A prompt and its answer, each cut by itself; a conversation of several answers as a whole."""
    turns = sum(now.supervised and not before.supervised for before, now in itertools.pairwise(pieces))
    if turns > 1:
        return _cut(pieces, PROMPT_SHOWN + ANSWER_SHOWN)
    prompt = _cut([piece for piece in pieces if not piece.supervised], PROMPT_SHOWN)
    return prompt + _cut([piece for piece in pieces if piece.supervised], ANSWER_SHOWN)


def _cut(pieces: list[Piece], most: int) -> list[Piece]:
    """The first two thirds and the last third of what may be shown, and how much is left out between."""
    if len(pieces) <= most:
        return pieces
    head, tail = pieces[: 2 * most // 3], pieces[len(pieces) - most // 3 :]
    left = sum(piece.tokens for piece in pieces) - sum(piece.tokens for piece in (*head, *tail))
    gap = Piece(text=f"... {left:,} tokens left out here ...", tokens=left, supervised=head[0].supervised, gap=True)
    return [*head, gap, *tail]


def _note(task: Task, num_tokens: int) -> str:
    context = task.device.context
    if num_tokens <= context:
        return ""
    over = f"longer than the context of {context:,} tokens"
    if task.overlong_rule == "split":
        return f"{over}: cut into {math.ceil((num_tokens - 1) / (context - 1)):,} pieces"
    return f"{over}: " + ("the row is left out" if task.overlong_rule == "drop" else "training refuses it")


def _is_known(renderer: Renderer, row: Row) -> bool:
    return renderer.kind != "classify" or renderer.reference(row.fields) in renderer.labels


def as_json(rows: Sequence[RenderedRow]) -> list[dict[str, Any]]:
    """The rows as plain values."""
    return [asdict(row) for row in rows]


def as_terminal(rows: Sequence[RenderedRow], width: int = 100, *, colour: bool = True) -> str:
    """The rows for a terminal, with ANSI colours, or with ``[[...]]`` around what is supervised.

    Text cannot steer the terminal: control and direction characters are shown as their code points.

    Args:
        rows: what to show.
        width: columns of the terminal.
        colour: False for a pipe or where ``NO_COLOR`` is set.
    """
    from io import StringIO

    from rich.console import Console
    from rich.text import Text

    page = StringIO()
    console = Console(
        file=page,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
    )
    console.print(_legend(Text, colour))
    for row in rows:
        console.print()
        console.print(Text(_heading(row), style="bold"))
        text = Text()
        for index, piece in enumerate(row.pieces):
            opens, closes = _marks(row.pieces, index) if not colour else ("", "")
            text.append(opens + visible(piece.text, piece.special) + closes, style=_style(piece, index))
        console.print(text)
    return page.getvalue()


def as_html(rows: Sequence[RenderedRow]) -> str:
    """The rows as an HTML fragment that brings its own style; every text in it is escaped."""
    from html import escape

    parts = [f'<div class="hone-tokens"><style>{_CSS}</style><p class="legend">']
    parts += [f'<span class="{name} one">{words}</span> ' for name, words in _LEGEND.items()]
    parts.append("</p>")
    for row in rows:
        parts.append(f"<section><h4>{escape(_heading(row))}</h4><p>")
        for index, piece in enumerate(row.pieces):
            kind = "gap" if piece.gap else "special" if piece.special else _role(piece)
            role = f" {_role(piece)}" if kind != _role(piece) else ""
            shade = "one" if index % 2 else "two"
            shown = escape(visible(piece.text, piece.special))
            parts.append(f'<span class="{kind}{role} {shade}">{shown}</span>')
        parts.append("</p></section>")
    return "".join([*parts, "</div>"])


def visible(text: str, special: bool = False) -> str:
    """Text in which nothing is hidden: line breaks have a sign, control and direction characters their code points."""
    if special:
        return text
    return "".join(_SIGNS.get(char) or (_code_point(char) if _is_hidden(char) else char) for char in text)


_SIGNS = {"\n": "\u21b5\n", "\t": "\u21e5\t"}
_LEGEND = {"prompt": "prompt", "supervised": "supervised: carries loss", "special": "special token"}
_CSS = (
    ".hone-tokens section p{white-space:pre-wrap;overflow-wrap:anywhere;font-family:ui-monospace,monospace;"
    "line-height:1.6}.hone-tokens span{border-radius:2px;color:#111}"
    ".hone-tokens .prompt.one{background:#cfe3f7}.hone-tokens .prompt.two{background:#b3d1ef}"
    ".hone-tokens .supervised.one{background:#ffd9a8}.hone-tokens .supervised.two{background:#ffc57d}"
    ".hone-tokens .supervised{text-decoration:underline;text-decoration-thickness:1px}"
    ".hone-tokens .special{border:1px solid #555;font-size:85%}.hone-tokens .gap{font-style:italic;background:none;"
    "color:inherit}"
)


def _legend(text_type: Any, colour: bool) -> Any:
    text = text_type()
    if not colour:
        return text.append("prompt as it is, [[supervised: carries loss]], <|special|> tokens")
    for supervised, words in ((False, "prompt"), (True, _LEGEND["supervised"])):
        text.append(words, style=_style(Piece(text="", tokens=1, supervised=supervised), 0)).append("  ")
    special = Piece(text="", tokens=1, supervised=False, special=True)
    return text.append(_LEGEND["special"], style=_style(special, 0))


def _heading(row: RenderedRow) -> str:
    share = row.num_supervised / row.num_tokens
    note = f"; {row.note}" if row.note else ""
    return (
        f"{visible(row.row)} ({row.why}): {row.num_tokens:,} tokens, {row.num_prompt:,} prompt, "
        f"{row.num_supervised:,} supervised ({share:.0%}){note}"
    )


def _role(piece: Piece) -> str:
    return "supervised" if piece.supervised else "prompt"


def _style(piece: Piece, index: int) -> str:
    if piece.gap:
        return "italic"
    colour = ("yellow", "bright_yellow") if piece.supervised else ("cyan", "bright_cyan")
    return colour[index % 2] + (" reverse" if piece.special else "")


def _marks(pieces: Sequence[Piece], index: int) -> tuple[str, str]:
    """Brackets where a supervised stretch begins and ends."""
    here = pieces[index].supervised
    begins = here and (index == 0 or not pieces[index - 1].supervised)
    ends = here and (index + 1 == len(pieces) or not pieces[index + 1].supervised)
    return "[[" if begins else "", "]]" if ends else ""


def _is_hidden(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") and char != "\u200d"


def _code_point(char: str) -> str:
    return f"<U+{ord(char):04X}>"
