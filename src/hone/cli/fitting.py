"""``hone data fit-toxicity``: a linear toxicity classifier from rows that a person labelled."""

from __future__ import annotations

import argparse
import itertools
import json
import re
import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hone.cli.places import is_task_folder
from hone.cli.taking import folder_given
from hone.errors import InputError

ALLOWED = 0.01
"""Share of harmless rows that the threshold may strike: cleaning is to lose few rows that are fine."""


def fit_toxicity(args: argparse.Namespace, words: Sequence[str], say: Callable[[str], None]) -> dict[str, Any]:
    """Fit, write to ``--out``, say the lines that use it; see :func:`hone.data.toxic_model.fit_toxic`.

    ``words`` are files, and at most one task folder, in whose ``hone.yaml`` the model is to be named.
    """
    folders = [word for word in words if is_task_folder(Path(word).expanduser())]
    files = [word for word in words if word not in folders]
    needed = {"--text": args.text, "--label": args.label, "--toxic": args.toxic, "--out": args.out}
    missing = [name for name, value in needed.items() if not value]
    if missing or not files:
        raise InputError(
            f"fit-toxicity needs a FILE and --text, --label, --toxic (once for each toxic label) and --out; missing: "
            f"{', '.join([*missing, *([] if files else ['FILE'])])}"
        )
    if len(folders) > 1:
        raise InputError(f"one task folder, please; {len(folders)} of the words are: {', '.join(folders)}")
    from hone.data.toxic_model import fit_toxic

    out = folder_given("--out", args.out)
    texts, labels = _labelled(args, files, say)
    about = fit_toxic(texts, labels, args.toxic, out, false_positive_rate=ALLOWED, seed=args.seed, say=say)
    for line in using(out, about["threshold"], Path(folders[0]).expanduser() if folders else None):
        say(line)
    return {"model": args.out, **about}


def _labelled(
    args: argparse.Namespace, files: Sequence[str], say: Callable[[str], None]
) -> tuple[list[str], list[str]]:
    """Texts and labels of the rows that have both; how many have not is said."""
    from hone.cli.stages import Stages
    from hone.data.bare import BareFiles
    from hone.data.survey import PEEK_ROWS
    from hone.data.view import view_of_rows

    texts, labels, without = [], [], 0
    with Stages(quiet=args.quiet) as stages:
        reading = BareFiles(files, Path(), say, partial(stages.tell, "reading"))
        rows = reading.rows()
        first = list(itertools.islice(rows, PEEK_ROWS))
        if not first:
            reading.check()
            raise InputError(f"{', '.join(files)}: no rows; expected rows with a text and a label")
        view = view_of_rows([row for _, row in first], text=args.text, label=args.label)
        for split, row in reading.seen(view, itertools.chain(first, rows)):
            laid = view.row(row, "", split)
            if laid.label and laid.input.strip():
                texts.append(laid.input)
                labels.append(laid.label)
            else:
                without += 1
    reading.check()
    if without:
        say(f"{without:,} of {without + len(texts):,} rows have no text or no label and are left out")
    return texts, labels


def using(model: Path, threshold: float, folder: Path | None) -> list[str]:
    """The lines that use a model: for ``hone.yaml`` of a folder, and for bare files.

    A path inside the task folder is named relative to it, so that the folder can be moved; any other one whole.
    Without a folder it is the one that the model lies in.
    """
    full = model.resolve()
    place = folder.resolve() if folder else next((up for up in full.parents if is_task_folder(up)), None)
    named = full.relative_to(place) if place is not None and full.is_relative_to(place) else full
    section = (
        f"clean: {{signals: {{toxicity: {{model: {_quoted(named)}}}}}, "
        f"rules: {{toxic-score: {{column: toxicity.score, max: {threshold:g}}}}}}}"
    )
    words = ["--signal", f"toxicity:model={_quoted(full)}", "--rule", f"toxicity.score=..{threshold:g}"]
    where = f"in {place / 'hone.yaml'}" if place is not None else "in hone.yaml of a task"
    return [
        f"use it {where}:",
        f"  {section}",
        f"or on bare files: hone look FILE {shlex.join(words)}",
    ]


def _quoted(path: Path) -> str:
    """A path as YAML reads it: as it is, or in double quotes, where a text is the same in JSON and in YAML."""
    plain = str(path)
    return plain if re.fullmatch(r"[\w./-]*[A-Za-z_/][\w./-]*", plain) else json.dumps(plain, ensure_ascii=False)
