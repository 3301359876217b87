"""``hone train``: carry out one recipe as a run of the lab; repeated, it goes on where it stopped."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.cli.interrupt import GO_ON as WHEN_STOPPED
from hone.cli.interrupt import stoppable
from hone.cli.places import HELP_FOLDER, task_folder
from hone.cli.refusing import refuse, start_of
from hone.cli.taking import read_minutes
from hone.errors import InputError
from hone.wording import counted

if TYPE_CHECKING:
    from hone.attempts import AttemptReport
    from hone.solving.show import Show
    from hone.solving.single import Wish
    from hone.task.recipe import Recipe

TOLD = (
    "base", "objective", "optimizer", "learning_rate", "matrix_learning_rate", "batch_size", "batch_tokens", "context",
    "schedule", "steps", "warmup_steps", "eval_every", "eval_rows", "processes", "seed",
)  # fmt: skip
"""Keys that are named where they are unchanged."""

__all__ = ["WHEN_STOPPED", "add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help=HELP_FOLDER)
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the recipe, for example --set learning_rate=3e-3; may be repeated",
    )
    parser.add_argument("--steps", metavar="N", help="optimizer steps of the whole schedule, as --set steps=N")
    parser.add_argument(
        "--minutes",
        help="plan size, steps and schedule for a box of so many minutes and end with it, or earlier where more passes "
        "over the rows gain nothing; repeated, the command goes on in the same box",
    )
    parser.add_argument(
        "--pause-after",
        metavar="MINUTES",
        help="save and stop after so many; repeated, the command goes on",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what the run will cost, measured, and end")
    parser.add_argument(
        "--find",
        choices=("rate", "batch"),
        help="look for a learning rate (its curve as rates.html too), or for the largest micro-batch that fits, print "
        "what was found and end",
    )
    parser.add_argument("--parent", metavar="RUN", help="start from this run's recipe and compare with it")
    parser.add_argument("--hypothesis", default="", help="why the change should help; kept with the run")
    parser.add_argument("--name", default="", help="of the run (default: the changes, or attempt)")
    parser.add_argument("--seed", metavar="N", help="of everything random, as --set seed=N")
    parser.add_argument(
        "--tracker", action="append", default=[], metavar="NAME", help="mirror the run; may be repeated"
    )


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; the exit status."""
    folder = task_folder(args.folder)
    changes, problems = _changes(args)
    from hone.solving.joined import check_started, follow, started_processes

    if group := started_processes() > 1:
        check_started()
        if changes.setdefault("processes", started_processes()) != started_processes():
            there = f"torchrun has started {started_processes()}; leave processes out"
            problems.append(f"processes {changes['processes']} are set, and {there}")
    refuse(folder, args.parent, changes, problems, lambda recipe: _wish(args, folder, recipe, changes))
    if group and int(os.environ["RANK"]) > 0:
        follow(folder)
        return 0
    if not group:
        from hone.processes import warm_up

        warm_up()  # importing runs beside reading the data
    from hone.cli.live import show_for
    from hone.cli.watching import carried
    from hone.lab.lab import Lab

    recipe, lines = _recipe(folder, args.parent, changes)
    show = show_for(args.quiet)
    try:
        for line in lines:
            show.say(line)
        with stoppable() as pressed:
            wish = _wish(args, folder, recipe, changes)
            if args.find or args.dry_run:
                return _ask(args, wish, show, pressed)
            report = carried(wish, show, pressed)
    finally:
        show.close()
    _say_report(report, folder)
    if args.json:
        made = Lab(folder, say=lambda line: None).run(report.run).recipe
        print(json.dumps({**report.to_json(), "recipe": made}, ensure_ascii=False))
    return 0


def _changes(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The keys that the command line sets; a sentence for each word that sets none, and for what says two things."""
    short = [f"{key}={value}" for key in ("steps", "seed") if (value := getattr(args, key)) is not None]
    changes, wrong = read_changes([*args.changes, *short])
    problems = [*read_minutes(args, "--minutes", "--pause-after"), *wrong, *_of_trackers(args.tracker)]
    if args.minutes is not None and "steps" in changes:
        problems.append(
            f"--minutes {args.minutes:g} plans the steps, and steps {changes['steps']} are set; leave one out "
            "(--pause-after saves and stops after so many minutes)"
        )
    if args.minutes is not None and args.find:
        problems.append("--minutes has no effect on --find; leave it out")
    if {"batch_size", "batch_tokens"} <= set(changes):
        problems.append(
            f"batch_size {changes['batch_size']} counts the rows of a step and batch_tokens {changes['batch_tokens']} "
            "its tokens; set one of them"
        )
    problems += [
        f"{option} has no effect on {what}; leave it out"
        for option in sorted({"--pause-after", "--name", "--hypothesis", "--tracker"} & args.given)
        for what in (["--find"] if args.find else ["--dry-run"] if args.dry_run else [])
    ]
    return changes, problems


def _of_trackers(names: Sequence[str]) -> list[str]:
    """What is wrong with the mirrors that are asked for."""
    from hone.lab.trackers import check_trackers

    try:
        check_trackers(names)
    except InputError as error:
        return [f"--tracker: {problem}" for problem in error.problems]
    return []


def _wish(args: argparse.Namespace, folder: Path, recipe: Recipe, changes: Mapping[str, Any]) -> Wish:
    from hone.attempts.box_sizes import sizes_for
    from hone.data.task_file import load_task
    from hone.solving.single import Wish
    from hone.task.recipe import HOW, KEPT

    # Sizes are chosen among decoders from scratch; a base of one's own, and an encoder, stay what they are.
    free = args.minutes is not None and "base" not in changes and args.parent is None
    free = free and recipe.base.startswith("scratch") and recipe.objective == "next-token"
    return Wish(
        folder=folder,
        recipe=recipe,
        # How it is computed makes no other run of it.
        name=args.name or "-".join(key for key in changes if key not in {*HOW, *KEPT})[:40] or "attempt",
        minutes=args.minutes,
        pause_after=args.pause_after,
        sizes=sizes_for(load_task(folder), recipe) if free else (),
        kept=frozenset(changes),
        parent=args.parent,
        hypothesis=args.hypothesis,
        trackers=tuple(args.tracker),
        started=args.began,
    )


def _ask(args: argparse.Namespace, wish: Wish, show: Show, pressed: threading.Event) -> int:
    """Measure, print and end: what the run would cost, or a rate or batch size."""
    from hone.cli.diagnose import write_rates
    from hone.solving.single import costs_of, found_for
    from hone.solving.watched import Watched

    watched = Watched(say=show.say, should_stop=pressed.is_set)
    if args.find is None:
        document = costs_of(wish, watched)
        print(f"nothing was trained; to start it: hone train {_words_with(args, {})}")
    else:
        document = found_for(wish, watched, args.find)
        for line in document["lines"]:
            print(line)
        command = f"hone train {_words_with(args, document['suggestion'])}"
        print(f"to use it: {command}" if document["suggestion"] else "nothing is suggested")
        if args.find == "rate":
            document["page"] = write_rates(wish.folder, wish.recipe.base, document, command)
    if args.json:
        print(json.dumps(document, ensure_ascii=False))
    return 0


def _words_with(args: argparse.Namespace, suggestion: Mapping[str, Any]) -> str:
    """The words of a command line with what was found set in it."""
    own = [word for word in args.changes if word.partition("=")[0].strip().removeprefix("recipe.") not in suggestion]
    words = [args.folder, *(part for key in ("steps", "seed", "parent", "minutes") for part in _option(args, key))]
    words += [part for word in own for part in ("--set", word)]
    words += [part for key, value in suggestion.items() for part in ("--set", f"{key}={value}")]
    return shlex.join(words)


def _option(args: argparse.Namespace, key: str) -> list[str]:
    value = getattr(args, key)
    return [] if value is None else [f"--{key}", f"{value:g}" if isinstance(value, float) else value]


def read_changes(words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """``key=value`` words as typed values, read as YAML reads them (and 3e-3 as a number; ``*name*`` as a text).

    Also a sentence for each word without ``=``, each key that stands twice and each list that YAML cannot read.
    """
    import yaml

    changes: dict[str, Any] = {}
    problems = []
    for word in words:
        key, equals, text = word.partition("=")
        key = key.strip().removeprefix("recipe.")
        if not equals or not key or not text.strip():
            problems.append(f'--set {word}: expected KEY=VALUE, such as learning_rate=3e-3; got "{word}"')
        elif key in changes:
            problems.append(f"--set {key} stands twice: {changes[key]} and {text}; keep one")
        else:
            try:
                changes[key] = _number(text.strip(), yaml.safe_load)
            except yaml.YAMLError:
                changes[key] = text.strip()
                if text.strip()[0] in "[{":
                    problems.append(f'--set {word}: {text} is no list to YAML; put its texts in quotes: ["*a*", "b"]')
    return changes, problems


def _number(text: str, otherwise: Any) -> Any:
    try:
        return float(text) if "e" in text.lower() else otherwise(text)
    except ValueError:
        return otherwise(text)


def _recipe(folder: Path, parent: str | None, changes: Mapping[str, Any]) -> tuple[Recipe, list[str]]:
    """The recipe, and lines that say where each of its values comes from."""
    from hone.attempts.checking import acting, changed
    from hone.data.prepare import prepare
    from hone.data.task_file import load_task
    from hone.lab.lab import Lab

    task = load_task(folder)
    if parent is not None:
        start = start_of(folder, task, None, parent, changes)
        source = f"the recipe of run {Lab(folder, say=lambda line: None).run(parent).folder.name}"
    else:
        data = prepare(task, folder, folder / ".hone" / "cache", lambda line: None)
        start = start_of(folder, task, data, None, changes)
        source = f"the shipped default for {task.kind} with base {start.base}"
    recipe, derived, idle = changed(start, changes, task)
    lines = [f"recipe: {source}"]
    lines += [_change(key, start, recipe) for key in changes]
    lines += [f"{_change(key, start, recipe)} (follows from steps)" for key in derived]
    lines += [f"{_change(key, start, recipe)} ({why})" for key, why in idle.items()]
    lines += _threads(recipe, changes)
    rest = [key for key in acting(recipe, task) if key not in {*changes, *derived, *idle, "data"}]
    told = ", ".join(f"{key} {getattr(recipe, key)}" for key in TOLD if key in rest)
    more = counted(len(rest) - sum(key in rest for key in TOLD), "other")
    return recipe, [*lines, f"  unchanged: {told} and {more} that act; all of them: hone runs show RUN"]


def _threads(recipe: Recipe, changes: Mapping[str, Any]) -> list[str]:
    """A line where the environment keeps the CPU threads below the cores."""
    from hone.hardware import usable_cores

    asked = os.environ.get("OMP_NUM_THREADS", "")
    if "threads" in changes or not asked or recipe.threads >= usable_cores():
        return []
    return [f"  threads {recipe.threads} (OMP_NUM_THREADS is {asked}; {counted(usable_cores(), 'core')} to use)"]


def _change(key: str, start: Recipe, recipe: Recipe) -> str:
    before, now = getattr(start, key), getattr(recipe, key)
    return f"  {key} {now}" if before == now else f"  {key} {before} -> {now}"


def _say_report(report: AttemptReport, folder: Path) -> None:
    from hone.cli.watching import paused_line

    if report.status != "finished":
        print(paused_line(report))
        return
    score = "no score" if report.score is None else f"dev {report.score}"
    other = report.kept_step not in (None, report.step)
    kept = f" with the weights of step {report.kept_step:,}," if other else ""
    print(f"run {report.run} finished: {score}{kept} after {counted(report.step, 'step')}")
    for line in closing_lines(report):
        print(line)
    where = shlex.quote(str(folder))
    print(f"ask it:    hone prompt {where} --run {report.run}")
    print(f"export it: hone export {report.run} {where} --to gguf,onnx")


def closing_lines(report: AttemptReport) -> list[str]:
    """What is to be said of a run behind its end: why it ended, time, memory, diagnosis, distance from its base."""
    from hone.attempts.before import memory_line, seconds_line

    lines = [
        f"ended: {report.reason}" if report.reason else "",
        seconds_line(report.seconds_by_part),
        memory_line(report.estimated_bytes, report.peak_bytes),
    ]
    if report.diagnosis:
        lines.append(f"diagnosis: {report.diagnosis['verdict']['sentence']}")
    if report.distance:
        lines += report.distance["lines"]
    if report.box:
        lines.append(f"box: {report.box['used_s']:.1f} of {report.box['seconds']:.0f} s used")
    return [line for line in lines if line]
