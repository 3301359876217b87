"""``hone export``: a run's model as an artifact for its runtime, certified by opening and comparing it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hone.cli.places import HELP_FOLDER, is_task_folder, task_folder
from hone.errors import InputError, nearest

RUNTIMES = ("gguf",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument(
        "words", nargs="*", metavar="RUN FOLDER", help=f"the run (default best), and {HELP_FOLDER}; in any order"
    )
    parser.add_argument("--to", default="gguf", metavar="RUNTIME", help=f"one of: {', '.join(RUNTIMES)} (default gguf)")
    parser.add_argument("--weights", default="q8_0", metavar="FORMAT", help="f32, f16, q8_0, q5_0, q4_0 (default q8_0)")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; the exit status."""
    if args.to not in RUNTIMES:
        raise InputError(f'--to "{args.to}" is not a runtime of this version; {nearest(args.to, RUNTIMES)}')
    run_name, folder = understand(args.words)
    from hone import face
    from hone.deploy.certificate.certify import read_certificate

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=sys.stderr, flush=True)

    path = face.export(folder, run_name, args.weights, say=say)
    certificate = read_certificate(path)
    for name, text in summary(certificate):
        print(f"{name:<18}{text}")
    print(f"{'artifact':<18}{path}")
    print(f'{"try it":<18}hone prompt {path} "..."')
    if args.json:
        print(json.dumps({"artifact": str(path), "run": run_name, "certificate": certificate}, ensure_ascii=False))
    return 0


def understand(words: Sequence[str]) -> tuple[str, Path]:
    """The run and the folder among the words.

    Raises:
        InputError: when there are too many of either.
    """
    folders = [word for word in words if is_task_folder(Path(word).expanduser())]
    runs = [word for word in words if word not in folders]
    problems = []
    if len(folders) > 1:
        problems.append(f"one FOLDER, please; {len(folders)} of the words are task folders: {', '.join(folders)}")
    if len(runs) > 1:
        problems.append(f"one RUN, please; these words are no task folders: {', '.join(runs)}")
    if problems:
        raise InputError(problems)
    if runs and not folders and not is_task_folder(Path()):
        raise InputError(
            f'"{runs[0]}" is no task folder, and this folder ({Path.cwd()}) is none where it could be a run; '
            "give both: hone export RUN FOLDER"
        )
    return (runs[0] if runs else "best"), task_folder(folders[0] if folders else ".")


def summary(certificate: dict[str, Any]) -> list[tuple[str, str]]:
    """The certificate as names and texts."""
    rows = [("status", f"{certificate['status']} by {certificate['runtime']}, weights {certificate['weights']}")]
    for figure in certificate["budget"]:
        limit = "" if figure["limit"] is None else f" of {figure['limit']:g}"
        mark = "" if figure["within"] else "  OVER THE BUDGET"
        rows.append((figure["name"], f"{figure['measured']:.3g}{limit}{mark}"))
    parity, score = certificate["parity"], certificate["score"]
    if parity is not None:
        same = f"same likeliest token {parity['same_top_or_tie']:.2%} of {parity['positions']:,}"
        greedy = f"greedy answers {parity['greedy_agree_share']:.1%} of {parity['greedy_prompts']}"
        rows.append(("parity", f"mean divergence {parity['kld_mean']:.2g} nats, {same}, {greedy}"))
    if score is not None:
        rows.append(("score on dev", f"{score['name']} {score['mean']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"))
    return rows
