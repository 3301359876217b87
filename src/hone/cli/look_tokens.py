"""``hone look --tokens``: training rows as the model gets them, prompt and supervised tokens in two colours."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from hone.cli.places import task_folder
from hone.data.rendered import Piece, RenderedRow, rendered_rows
from hone.errors import InputError

CACHE = Path(".hone") / "cache"
_PROMPT, _SUPERVISED, _END = "\x1b[36m", "\x1b[30;43m", "\x1b[0m"
_BETWEEN = "\N{MIDDLE DOT}"


def show_tokens(args: argparse.Namespace) -> int:
    """Print the rows; the exit status."""
    if len(args.sources) > 1:
        raise InputError(f"--tokens: one task folder, please; got {', '.join(args.sources)}")
    if args.sensitive:
        raise InputError("--tokens shows texts, so it cannot go with --sensitive")
    if args.rows < 1:
        raise InputError(f"--rows {args.rows}: expected 1 or more")
    folder = task_folder(args.sources[0])
    from hone.data.prepare import prepare
    from hone.data.task_file import load_task

    out = sys.stderr if args.json else sys.stdout

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=out)

    task = load_task(folder)
    version = prepare(task, folder, folder / CACHE, lambda line: None, workers=args.workers)
    rows = rendered_rows(task, folder, version, args.rows, say, seed=args.seed)
    if args.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}, ensure_ascii=False))
        return 0
    colour = sys.stdout.isatty()
    print(_legend(colour))
    for row in rows:
        print(f"\n{shown(row, colour=colour)}")
    return 0


def shown(row: RenderedRow, *, colour: bool) -> str:
    """A row: what it counts, then its tokens. Without colours supervised tokens stand in ``[[...]]``."""
    note = f"; {row.note}" if row.note else ""
    counts = f"{row.num_tokens:,} tokens, {row.num_prompt:,} prompt, {row.num_supervised:,} supervised"
    return f"{row.row} ({row.why}): {counts}{note}\n{_tokens(row.pieces, colour)}"


def _tokens(pieces: tuple[Piece, ...], colour: bool) -> str:
    parts: list[str] = []
    before: bool | None = None
    for piece in pieces:
        if piece.supervised != before:
            parts.append(_turn(before, piece.supervised, colour))
        elif not piece.gap:
            parts.append(_BETWEEN)
        before = piece.supervised
        parts.append(_plain(piece.text))
    return "".join(parts) + _turn(before, None, colour)


def _turn(before: bool | None, now: bool | None, colour: bool) -> str:
    """What stands where prompt turns into supervised text or back."""
    if colour:
        return (_END if before is not None else "") + ("" if now is None else _SUPERVISED if now else _PROMPT)
    return ("]]" if before else "") + ("[[" if now else "")


def _plain(text: str) -> str:
    """Text without control sequences, which a terminal would carry out; line feeds stay and are seen."""
    seen = text.replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}\n")
    return "".join(sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in seen)


def _legend(colour: bool) -> str:
    if colour:
        return f"{_PROMPT}prompt{_END} {_SUPERVISED}supervised{_END}, tokens apart by {_BETWEEN}"
    return f"prompt [[supervised]], tokens apart by {_BETWEEN}"
