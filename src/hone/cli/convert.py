"""``hone convert``: pickled weights or a file of llama2.c as a model folder with safetensors."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument("source", metavar="SOURCE", help="a folder with pickled weights, or a .bin of llama2.c")
    parser.add_argument(
        "--out", metavar="FOLDER", required=True, help="the model folder to write; it must not be there"
    )


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; the exit status."""
    from hone.model.converting import convert

    source, out = Path(args.source).expanduser(), Path(args.out).expanduser()
    lines = convert(source, out)
    if not args.quiet:
        shown = sys.stderr if args.json else sys.stdout
        print("\n".join([*lines, f"use it: base: {out}"]), file=shown)
    if args.json:
        print(json.dumps({"source": str(source), "folder": str(out), "lines": lines}, ensure_ascii=False))
    return 0
