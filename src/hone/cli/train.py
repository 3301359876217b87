"""``hone train``: carry out one recipe as a run of the lab; repeated, it goes on where it stopped."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.cli.interrupt import GO_ON as WHEN_STOPPED
from hone.cli.interrupt import stoppable
from hone.cli.places import HELP_FOLDER, task_folder
from hone.errors import InputError

if TYPE_CHECKING:
    from hone.attempts import AttemptReport
    from hone.cli.live import PlainLines
    from hone.solving.show import Show
    from hone.task.recipe import Recipe

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
    parser.add_argument("--steps", type=int, help="optimizer steps of the whole schedule, as --set steps=N")
    parser.add_argument("--minutes", type=float, help="save and stop after so many; repeated, the command goes on")
    parser.add_argument("--parent", metavar="RUN", help="start from this run's recipe and compare with it")
    parser.add_argument("--hypothesis", default="", help="why the change should help; kept with the run")
    parser.add_argument("--name", default="", help="of the run (default: the changes, or attempt)")
    parser.add_argument("--seed", type=int, help="of everything random, as --set seed=N")
    parser.add_argument(
        "--tracker", action="append", default=[], metavar="NAME", help="mirror the run; may be repeated"
    )


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; the exit status."""
    folder = task_folder(args.folder)
    changes = read_changes(args.changes)
    changes |= {key: value for key in ("steps", "seed") if (value := getattr(args, key)) is not None}
    from hone import face
    from hone.cli.live import show_for

    recipe, lines = _recipe(folder, args.parent, changes)
    show = show_for(args.quiet)
    name = args.name or "-".join(changes)[:40] or "attempt"
    try:
        for line in lines:
            show.say(line)
        with stoppable() as pressed:
            report = face.attempt(
                folder,
                recipe,
                name=name,
                minutes=args.minutes,
                parent=args.parent,
                hypothesis=args.hypothesis,
                trackers=args.tracker,
                say=show.say,
                on_event=_Watch(show, name, recipe.steps),
                should_stop=pressed.is_set,
            )
    finally:
        show.close()
    if pressed.is_set() and report.status != "finished":
        raise KeyboardInterrupt
    _say_report(report, recipe, folder)
    if args.json:
        print(json.dumps({**report.to_json(), "recipe": recipe.model_dump(mode="json")}, ensure_ascii=False))
    return 0


def read_changes(words: Sequence[str]) -> dict[str, Any]:
    """``key=value`` words as typed values, read as YAML reads them (and 3e-3 as a number).

    Raises:
        InputError: for words without ``=`` and keys that stand twice, all at once.
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
            changes[key] = _number(text.strip(), yaml.safe_load)
    if problems:
        raise InputError(problems)
    return changes


def _number(text: str, otherwise: Any) -> Any:
    try:
        return float(text) if "e" in text.lower() else otherwise(text)
    except ValueError:
        return otherwise(text)


def _recipe(folder: Path, parent: str | None, changes: Mapping[str, Any]) -> tuple[Recipe, list[str]]:
    """The recipe, and lines that say where each of its values comes from."""
    from hone.data.prepare import prepare
    from hone.data.task_file import load_task
    from hone.hardware import usable_cores
    from hone.lab.lab import Lab
    from hone.solving.defaults import default_recipe
    from hone.task.recipe import Recipe

    if parent is not None:
        origin = Lab(folder, say=lambda line: None).run(parent)
        start, source = Recipe.model_validate(origin.recipe), f"the recipe of run {origin.folder.name}"
    else:
        task = load_task(folder)
        data = prepare(task, folder, folder / ".hone" / "cache", lambda line: None)
        start = default_recipe(task, data, seed=0, threads=usable_cores())
        source = f"the shipped default for {task.kind}"
    derived: dict[str, Any] = {}
    if "steps" in changes and isinstance(changes["steps"], int):
        # A schedule of another length keeps its proportions.
        derived = {
            "warmup_steps": max(1, min(100, changes["steps"] // 20)),
            "eval_every": max(1, changes["steps"] // 4),
        }
    derived = {key: value for key, value in derived.items() if key not in changes}
    recipe = start.child(**{**derived, **changes})
    lines = [f"recipe: {source}"]
    lines += [f"  {key} {getattr(start, key)} -> {getattr(recipe, key)}" for key in changes]
    lines += [f"  {key} {getattr(start, key)} -> {value} (follows from steps)" for key, value in derived.items()]
    rest = [key for key in type(recipe).model_fields if key not in changes and key not in derived and key != "data"]
    return recipe, [*lines, "  unchanged: " + ", ".join(f"{key} {getattr(recipe, key)}" for key in rest)]


class _Watch:
    """Steps and evaluations as a row of the table."""

    def __init__(self, show: Show | PlainLines, name: str, steps: int) -> None:
        from hone.solving.show import TableRow

        self._show, self._row = show, TableRow(name=name, what="one recipe", steps=steps, status="running")

    def __call__(self, event: dict[str, Any]) -> None:
        from dataclasses import replace

        from hone.task.scores import Score

        if event["kind"] == "step":
            self._row = replace(self._row, step=event["step"], tokens_per_second=event["tokens_per_second"])
        elif event["kind"] == "evaluated":
            score = Score.from_json(event["score"])
            self._row = replace(self._row, score=score, dev_loss=event["dev_loss"], step=event["step"])
        self._show.row(self._row)


def _say_report(report: AttemptReport, recipe: Recipe, folder: Path) -> None:
    if report.status != "finished":
        print(
            f"run {report.run} stopped at step {report.step:,} of {recipe.steps:,}, saved: repeat the command to go on"
        )
        return
    score = "no score" if report.score is None else f"dev {report.score}"
    print(f"run {report.run} finished: {score} after {report.step:,} steps, {report.seconds:.0f} s")
    print(f"ask it:    hone prompt {folder} --run {report.run}", file=sys.stdout)
    print(f"export it: hone export {report.run} {folder} --to gguf")
