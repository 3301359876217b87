"""``hone data fit-toxicity``: a linear toxicity classifier from rows that a person labelled."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hone.errors import InputError


def fit_toxicity(args: argparse.Namespace, files: Sequence[str], say: Callable[[str], None]) -> dict[str, Any]:
    """Fit, write to ``--out``, and give what was found; see :func:`hone.data.toxic_model.fit_toxic`."""
    needed = {"--text": args.text, "--label": args.label, "--toxic": args.toxic, "--out": args.out}
    missing = [name for name, value in needed.items() if not value]
    if missing or not files:
        raise InputError(
            f"fit-toxicity needs a FILE and --text, --label, --toxic (once for each toxic label) and --out; missing: "
            f"{', '.join([*missing, *([] if files else ['FILE'])])}"
        )
    from hone.data.bare import BareFiles
    from hone.data.toxic_model import fit_toxic
    from hone.data.view import view_of_rows

    reading = BareFiles(files, Path(), say)
    rows = [row for _, row in reading.rows()]
    reading.check()
    view = view_of_rows(rows[:2000], text=args.text, label=args.label)
    laid = [view.row(row, "", "train") for row in rows]
    about = fit_toxic(
        [row.input for row in laid],
        [row.label or "" for row in laid],
        args.toxic,
        Path(args.out),
        seed=args.seed,
        say=say,
    )
    say(f"use it: clean: {{signals: {{toxicity: {{model: {args.out}}}}}}} in hone.yaml")
    return {"model": args.out, **about}
