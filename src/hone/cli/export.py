"""``hone export``: a run's model as an artifact for its runtime, certified by opening and comparing it."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.cli.places import HELP_FOLDER, is_task_folder, task_folder
from hone.errors import InputError

if TYPE_CHECKING:
    from hone.attempts import AttemptReport
    from hone.solving.exporting import Foreseen, Source
    from hone.solving.second_stage import Stage
    from hone.solving.single import Wish

HELP_TO = "runtimes, by commas: gguf (llama.cpp), onnx (ONNX Runtime); default gguf"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="RUN|FOLDER|FILE",
        help=f"a run (default best) and {HELP_FOLDER}, in any order; or a model folder, PEFT adapter, llama2.c .bin",
    )
    parser.add_argument("--to", metavar="RUNTIME[,RUNTIME]", help=HELP_TO)
    parser.add_argument(
        "--weights",
        metavar="FORMAT[,FORMAT]",
        help="how matrices are stored, by commas (default gguf q8_0, onnx int8); --dry-run says their sizes",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="where artifacts are made (default: artifacts/ of the task folder)"
    )
    parser.add_argument(
        "--size",
        choices=("quick", "full"),
        default="quick",
        help="of the certificate: quick compares 2,000 positions and 64 dev rows, full 5,000 and all of dev",
    )
    parser.add_argument(
        "--calibrate",
        choices=("auto", "none", "importance", "gptq", "train"),
        default="auto",
        help="how matrices are rounded below 8 bits: by what the training rows give them to read; auto measures on "
        "dev; train also trains a second stage on the format's grid, as a run, and takes it where it diverges less",
    )
    parser.add_argument(
        "--train-steps",
        type=int,
        metavar="N",
        help="of that second stage (default 300, or as many as the run had where those are fewer)",
    )
    parser.add_argument(
        "--mixed",
        action="store_true",
        help="store those matrices in larger kinds that gain most by it, up to the device's size_mb",
    )
    for name, of in (
        ("embedding", "the embedding is stored in, the output layer too where they share it"),
        ("head", "the output layer is stored in"),
    ):
        parser.add_argument(
            f"--{name}", metavar="KIND[,KIND]", help=f"the kind that {of}, one of each runtime, such as q8_0,int8"
        )
    parser.add_argument("--dry-run", action="store_true", help="say sizes and refusals, and write nothing")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; the exit status."""
    from hone.deploy.apart import Apart
    from hone.deploy.artifact.folder import describe, predicts_words
    from hone.processes import warm_up
    from hone.solving.exporting import export_each, foreseen, formats_asked
    from hone.solving.second_stage import export_trained, source_and_stages

    given = {"--to": args.to, "--weights": args.weights, "--embedding": args.embedding, "--head": args.head}
    empty = [option for option, words in given.items() if words is not None and not _words(words)]
    if empty:
        raise InputError(f"{option} is empty; leave it out for the default" for option in empty)
    names = formats_asked(_words(args.to), _words(args.weights))
    apart = Apart(embedding=tuple(_words(args.embedding)), head=tuple(_words(args.head)))

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="hone-export-") as workbench:
        source, stages = source_and_stages(
            lambda: _source(args, Path(workbench), say),
            names,
            args.calibrate,
            steps=args.train_steps,
            mixed=args.mixed,
            apart=apart,
        )
        if args.dry_run:
            return _dry(foreseen(source, names, apart, mixed=args.mixed), stages, args.json)
        if stages:
            if not all(stage.is_done for stage in stages):
                warm_up()  # importing runs beside the measuring
            made = export_trained(source, stages, args.size, say, lambda wish: _carried(wish, args.quiet))
        else:
            made = export_each(source, names, args.size, say, calibrate=args.calibrate, mixed=args.mixed, apart=apart)
    for one in made:
        path = Path(one["path"])
        for name, text in summary(one["certificate"]):
            print(f"{name:<18}{text}")
        print(f"{'artifact':<18}{path}")
        if not predicts_words(describe(path)):
            print(f'{"try it":<18}hone prompt {path} "..."')
    if args.json:
        run_name = source.order.get("run")
        print(json.dumps({"run": run_name, "artifacts": [_document(one) for one in made]}, ensure_ascii=False))
    return 0


def _carried(wish: Wish, quiet: bool) -> AttemptReport:
    """Train a second stage as ``hone train`` does."""
    from hone.cli.interrupt import stoppable
    from hone.cli.live import show_for
    from hone.cli.watching import carried

    show = show_for(quiet)
    try:
        with stoppable() as pressed:
            return carried(wish, show, pressed)
    finally:
        show.close()


def _source(args: argparse.Namespace, workbench: Path, say: Callable[[str], None]) -> Source:
    """The model that the words name: of a run, or one that comes without a task.

    Raises:
        InputError: when they name none, or a certificate in full is asked for where no task could judge.
    """
    from hone.solving.bare import bare_source, is_bare_model
    from hone.solving.exporting import run_source

    out = None if args.out is None else Path(args.out).expanduser()
    bare = [word for word in args.words if is_bare_model(Path(word).expanduser())]
    if not bare:
        run_name, folder = understand(args.words)
        return run_source(folder, run_name, out, say)
    problems = []
    if len(args.words) > 1:
        problems.append(
            f"one model at a time, please; {bare[0]} is a model by itself, beside {len(args.words) - 1} words"
        )
    if args.size == "full":
        problems.append("--size full scores all of dev, and a model without its task has none; leave it out")
    if args.calibrate == "train":
        problems.append(
            f"--calibrate train learns from a task's rows, and {bare[0]} is a model without its task; name its run"
        )
    if problems:
        raise InputError(problems)
    return bare_source(Path(bare[0]).expanduser(), out, workbench, say)


def _document(one: dict[str, Any]) -> dict[str, Any]:
    return {"artifact": one["path"], "run": one["run"], "certificate": one["certificate"]}


def _words(given: str | None) -> list[str]:
    return [word.strip() for word in (given or "").split(",") if word.strip()]


def _dry(found: Sequence[Foreseen], stages: Sequence[Stage], as_json: bool) -> int:
    """What would be made, without making it; 2 when something would be refused."""
    for one in found:
        head = f"{one.runtime:<6}{one.weights:<10}"
        print(f"{head}refused" if one.refusals else f"{head}about {one.size_bytes / 1e6:8.2f} MB  {one.path}")
        for reason in one.refusals:
            print(f"      {reason}")
    for stage in stages:
        print(f"trained before it is chosen, {stage.line()}")
    if as_json:
        document = {"dry_run": True, "artifacts": [one.to_json() for one in found]}
        document |= {"stages": [stage.to_json() for stage in stages]} if stages else {}
        print(json.dumps(document, ensure_ascii=False))
    return 2 if any(one.refusals for one in found) else 0


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
    if runs and (problem := _no_run(runs[0], Path(runs[0]).expanduser())):
        raise InputError(problem)
    if runs and not folders and not is_task_folder(Path()):
        raise InputError(
            f'"{runs[0]}" is no task folder, and this folder ({Path.cwd()}) is none where it could be a run; '
            "give both: hone export RUN FOLDER"
        )
    return (runs[0] if runs else "best"), task_folder(folders[0] if folders else ".")


def _no_run(word: str, path: Path) -> str:
    """Why a word that is no task folder can be no run either; empty where it can."""
    from hone.deploy.artifact.folder import is_artifact

    if is_artifact(path) or (path.is_file() and path.suffix in (".gguf", ".onnx")):
        return f"{word} is an artifact already; hone bench measures it again, and its run or model folder is exported"
    if path.is_file():
        return f"{word} is a file that is not exported; a run, a model folder and a .bin of llama2.c are"
    if path.is_dir() and (files := sorted(path.glob("*.bin"))):
        return f"{word} holds no config.json, so it is no model folder; name its file of llama2.c: {files[0]}"
    if not path.exists() and path.suffix == ".bin":
        return f"{word} does not exist, so there is no model of llama2.c to export"
    return f"{word} does not exist, so there is no model to export" if "/" in word and not path.exists() else ""


def summary(certificate: dict[str, Any]) -> list[tuple[str, str]]:
    """The certificate as names and texts."""
    from hone.deploy.certificate.document import told_likeness, told_score, told_status
    from hone.deploy.certificate.reach import told_reach

    rows = [("status", f"{told_status(certificate)} by {certificate['runtime']}, weights {certificate['weights']}")]
    for figure in certificate["budget"]:
        limit = "" if figure["limit"] is None else f" of {figure['limit']:g}"
        mark = {True: "", False: "  OVER THE BUDGET", None: "  not known: measured on this machine"}[figure["within"]]
        rows.append((figure["name"], f"{figure['measured']:.3g}{limit}{mark}"))
    if all(figure["limit"] is None for figure in certificate["budget"]):
        rows.append(("budget", "no limit is set"))
    parity, score = certificate["parity"], certificate["score"]
    if parity is not None:
        same = f"same likeliest token {parity['same_top_or_tie']:.2%} of {parity['positions']:,}"
        greedy = f", greedy answers {parity['greedy_agree_share']:.1%} of {parity['greedy_prompts']}"
        greedy = greedy if parity["greedy_prompts"] else ""  # an encoder writes none
        mean = "no number" if parity["kld_mean"] is None else f"{parity['kld_mean']:.2g} nats"
        rows.append(("parity", f"mean divergence {mean}, {same}{greedy}"))
    if like := told_likeness(certificate):
        rows.append(("likeness", like))
    if reach := told_reach(certificate):
        rows.append(("context", reach))
    if score is not None:
        rows.append(("score on dev", f"{score['name']} {told_score(certificate)}"))
    return rows
