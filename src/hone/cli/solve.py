"""``hone solve``: hone a model until the task is solved within the device's budget, or the box of minutes ends."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

from hone.cli.interrupt import GO_ON as WHEN_STOPPED
from hone.cli.interrupt import stoppable
from hone.cli.places import HELP_FOLDER, task_folder
from hone.cli.taking import minutes

__all__ = ["WHEN_STOPPED", "add_arguments", "run"]
TRACKERS = "tensorboard, wandb (offline), mlflow"
EXAMPLE_CHARS = 90


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help=HELP_FOLDER)
    parser.add_argument("--minutes", type=minutes, default=30.0, help="the box, over all calls (default 30)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    parser.add_argument("--no-smoke", action="store_true", help="leave out the smoke run before the attempts")
    parser.add_argument(
        "--tracker", action="append", default=[], metavar="NAME", help=f"mirror the runs ({TRACKERS}); may be repeated"
    )


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; the exit status."""
    folder = task_folder(args.folder)
    from hone.cli.live import show_for
    from hone.solving.loop import solve

    show = show_for(args.quiet)
    try:
        with stoppable() as pressed:
            result = solve(
                folder,
                minutes=args.minutes,
                seed=args.seed,
                show=show,
                pressed=pressed,
                smoke=None if args.no_smoke else _smoke(),
                trackers=tuple(args.tracker),
            )
    finally:
        show.close()
    for line in verdict_lines(result, folder):
        print(line)
    if args.json:
        print(json.dumps(result, ensure_ascii=False))
    return 0 if result["solved"] else 1


def verdict_lines(result: dict[str, Any], folder: Path) -> list[str]:
    """The last lines: the verdict, advice, where the model is and how to try it."""
    word = "solved" if result["solved"] else "not solved"
    if result.get("score") is None:
        target = f"the target is {result['metric']} {result['target']:g}"
        return [f"{word}: there is no finished attempt yet; {target}", *(f"  {line}" for line in result["advice"])]
    head = (
        f"{word}: {result['metric']} {_interval(result, '')} on dev, {_interval(result, 'test_')} on the sealed test "
        f"(n={result['test_n']:,}); target {result['target']:g} at the pessimistic end; {result['seconds']:.0f} s"
    )
    lines = [head, *(f"  {line}" for line in result.get("advice", []))]
    if not result.get("artifact"):
        return lines
    artifact = folder / result["artifact"]
    planned = _planned(result)
    where = shlex.quote(str(folder))
    first, each = result["first_token_ms"], result["ms_per_token"]
    # An encoder writes no tokens.
    times = (
        f"{first:.1f} ms a sequence" if each is None else f"{first:.1f} ms to the first token, {each:.2f} ms per token"
    )
    figures = (
        f"{result['size_mb']:.2f} MB, {result['ram_mb']:.0f} MB of memory "
        f"({result['interpreter_mb']:.0f} of it the interpreter), {times}"
    )
    return [
        *lines,
        f"model:  {artifact} ({result['parity']['status']}, {_budget(result, planned)}: {figures})",
        *([f"        {planned}"] if planned else []),
        f"try it: hone prompt {where} {shlex.quote(example_text(folder, result['run']))}",
        f"serve:  hone serve {where}",
    ]


def _planned(result: dict[str, Any]) -> str:
    """What is planned for the device's class, where that is another than this machine and has such limits."""
    if not result.get("planned"):
        return ""
    from hone.deploy.elsewhere import planned_line

    return planned_line(result["planned"])


def _budget(result: dict[str, Any], planned: str) -> str:
    """What is known of the device's budget; ``planned`` is said of limits that only another class could tell."""
    kept = {True: "within the device's budget", False: "over the device's budget"}.get(result["within_budget"])
    whose = f" of {result['device_class']}" if result.get("planned") else ""
    if kept is not None:
        return kept + whose
    return f"whether it keeps the budget{whose} is not known; here" if planned else "no budget is set"


def example_text(folder: Path, run: int) -> str:
    """A short prompt to try: that of a stored example of the run's model, else three dots."""
    from hone.errors import HoneError
    from hone.files import read_json
    from hone.lab.lab import Lab
    from hone.task.templates import columns

    try:
        stored = read_json(Lab(folder, say=lambda line: None).run(run).model / "hone.json")
    except (HoneError, OSError):
        return "..."
    names = columns(stored["renderer"]["input"])
    texts = [_asked(item["fields"].get(names[0], "")) for item in stored["examples"]] if len(names) == 1 else []
    fitting = [text for text in texts if 0 < len(text) <= EXAMPLE_CHARS and text.isprintable()]
    return fitting[0] if fitting else "..."


def _asked(value: Any) -> str:
    """What stands in a column of the prompt; of a conversation what the user says first."""
    if not isinstance(value, list):
        return str(value)
    return next((str(turn.get("content", "")) for turn in value if turn.get("role") == "user"), "")


def _interval(result: dict[str, Any], prefix: str) -> str:
    mean = result[f"{prefix}score"]
    return f"{mean:.3f} [{result[f'{prefix}low']:.3f}, {result[f'{prefix}high']:.3f}]"


def _smoke() -> Any:
    from hone.smoke.whole_way import smoke

    return smoke
