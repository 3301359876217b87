"""``hone runs list|show|compare|tree|diagnose``: what was tried in a task folder, and what came of it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.errors import InputError, nearest

if TYPE_CHECKING:
    from hone.lab.compare import Branch
    from hone.lab.lab import Lab
    from hone.lab.run import Run
    from hone.task.scores import Score

HELP = "list, show, compare, draw and diagnose what was tried"
ACTIONS = ("list", "show", "compare", "tree", "diagnose")
Part = str | tuple[Sequence[str], Sequence[Sequence[str]]]
"""A line, or a table: its head and its rows."""
_WRAPPED = ("", "value", "change", "hypothesis")
"""Heads of columns that may be broken over lines on a narrow terminal."""
_MARKS = (Path("hone.yaml"), Path("runs"), Path(".hone"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="list|show|compare|tree|diagnose [RUN ...] [FOLDER]",
        help='RUN is a number, a name, a unique beginning of one, or "best"; a word that is a task folder is FOLDER '
        "(default: this one). show and diagnose take one RUN (default best), compare two or more",
    )
    parser.add_argument("--out", metavar="FILE", help="of diagnose: where the page goes (default: the run's folder)")
    parser.add_argument("--reindex", action="store_true", help="first make the index anew from the files")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; the exit status."""
    action, refs, folder = _understand(args.words)
    if args.out and action != "diagnose":
        raise InputError(f"--out says where the page of hone runs diagnose goes; hone runs {action} writes none")
    from hone.lab.lab import Lab

    lab = Lab(folder, say=_say)
    document: dict[str, Any] = {"folder": str(folder)}
    parts: list[Part] = []
    if args.reindex:
        document["reindexed"] = counts = lab.reindex()
        listed = ", ".join(f"{count:,} {table.replace('_', ' ')}" for table, count in counts.items())
        parts.append(f"index made anew from the files: {listed}")
    answer, more = _answer(lab, action, refs, args.out)
    if not (args.quiet and args.json):
        for part in parts + more:
            print(part) if isinstance(part, str) else _print_table(*part)
    if args.json:
        print(json.dumps(document | answer, ensure_ascii=False, default=str))
    return 0


def _answer(lab: Lab, action: str, refs: Sequence[str], out: str | None) -> tuple[dict[str, Any], list[Part]]:
    if action == "show":
        return _show(lab, refs[0] if refs else "best")
    if action == "diagnose":
        from hone.cli.diagnose import diagnose

        document, lines = diagnose(lab.run(refs[0] if refs else "best"), out)
        return document, list(lines)
    if action == "compare":
        return _compare(lab, refs)
    return _tree(lab) if action == "tree" else _list(lab)


def _understand(words: Sequence[str]) -> tuple[str, list[str], Path]:
    """Sort the words into an action, runs and the folder; see the help text for the rule."""
    rest = list(words)
    action = rest.pop(0) if rest and rest[0] in ACTIONS else "list"
    folders = [word for word in rest if _is_task_folder(Path(word))]
    refs = [word for word in rest if word not in folders]
    problems = []
    if len(folders) > 1:
        problems.append(f"one FOLDER, please; {len(folders)} of the words are task folders: {', '.join(folders)}")
    fewest, most = {"list": (0, 0), "tree": (0, 0), "show": (0, 1), "diagnose": (0, 1), "compare": (2, len(refs))}[
        action
    ]
    for ref in refs[most:]:
        if words[0] not in ACTIONS:
            problems.append(f'"{ref}" is neither a task folder nor what to do; {nearest(ref, ACTIONS)}')
        else:
            problems.append(f'hone runs {action} takes {most or "no"} RUN; "{ref}" is too much, and no task folder')
    if len(refs) < fewest:
        problems.append(f"hone runs compare takes two or more RUNs; got {len(refs)}")
    if problems:
        raise InputError(problems)
    return action, refs, Path(folders[0]) if folders else Path()


def _is_task_folder(path: Path) -> bool:
    return any((path / mark).exists() for mark in _MARKS)


def _list(lab: Lab) -> tuple[dict[str, Any], list[Part]]:
    runs = {run.number: run for run in lab.runs()}
    if not runs:
        return {"runs": [], "best": None}, [
            f"no runs in {lab.folder.resolve()}; start one with hone solve or hone train"
        ]
    rows = [row for row in lab.query("SELECT * FROM runs ORDER BY number") if row["number"] in runs]
    best = _best_number(lab)
    for row in rows:
        run = runs[row["number"]]
        row |= {"status": run.status, "step": run.last_step(), "goes_on_from": _state_of(run)}
        row["best"] = run.number == best
        row["scores"] = {name: score.to_json() for name, score in run.scores().items()}
        del row["owner"]
    metrics = {row["metric"] for row in rows}
    score_head = f"dev {metrics.pop() or 'score'}" if len(metrics) == 1 else "dev score"
    head = ["run", "status", "step", score_head, "parent", "change", "effect", "hypothesis"]
    lines = [_list_row(row, runs[row["number"]].scores()) for row in rows]
    return {"runs": rows, "best": best}, [(head, lines)]


def _state_of(run: Run) -> int | None:
    """The step that an unfinished run goes on from; None where nothing goes on."""
    return None if run.status in ("finished", "running", "planned") else run.saved_step()


def _step_text(step: int, goes_on_from: int | None) -> str:
    """A step, and the one that a repeated command goes on from where that is another."""
    return f"{step:,}" if goes_on_from in (None, step) else f"{step:,}, goes on from {goes_on_from:,}"


def _list_row(row: dict[str, Any], scores: dict[str, Score]) -> list[str]:
    score = scores.get(row["metric"]) if row["metric"] else next(iter(scores.values()), None)
    effect = f"{row['effect']:+.3f} {row['verdict']}" if row["verdict"] else ""
    star = " *" if row["best"] else ""
    parent = "" if row["parent"] is None else str(row["parent"])
    return [
        f"{row['number']:04d}-{row['name']}{star}", row["status"],
        _step_text(row["step"], row["goes_on_from"]),
        "" if score is None else f"{score.mean:.3f} [{score.low:.3f}, {score.high:.3f}]", parent,
        row["change"], effect, row["hypothesis"],
    ]  # fmt: skip


def _best_number(lab: Lab) -> int | None:
    try:
        return lab.best().number
    except InputError:  # no scores yet, or several metrics: then none is marked
        return None


def _show(lab: Lab, ref: str) -> tuple[dict[str, Any], list[Part]]:
    run = lab.run(ref)
    scores = run.scores()
    artifacts = [item for item in lab.artifacts() if item.run == run.number]
    found = lab.query("SELECT effect, effect_low, effect_high, verdict FROM runs WHERE number = ?", [run.number])
    verdict = found[0] if found and found[0]["verdict"] else None
    facts = [
        *_header_facts(run),
        ("measured", _verdict_text(verdict)),
        *((f"dev {name}", _score_text(score)) for name, score in scores.items()),
        *((f"artifact {item.id}", f"{item.path} ({item.status})") for item in artifacts),
    ]
    document = {
        "run": {**run.header.to_json(), "status": run.status, "reason": run.reason, "step": run.last_step()},
        "path": str(run.folder),
        "recipe": run.recipe,
        "scores": {name: score.to_json() for name, score in scores.items()},
        "verdict": verdict,
        "result": run.result,
        "artifacts": [{"path": item.path, "id": item.id, "status": item.status} for item in artifacts],
    }
    recipe = [[key, str(value)] for key, value in run.recipe.items()]
    return document, [(["", ""], [[name, text] for name, text in facts if text]), (["recipe", "value"], recipe)]


def _header_facts(run: Run) -> list[tuple[str, str]]:
    header = run.header
    status = f"{run.status} ({run.reason})" if run.reason else run.status
    return [
        ("run", header.folder_name),
        ("status", f"{status}, step {_step_text(run.last_step(), _state_of(run))}"),
        ("made", header.created),
        ("folder", str(run.folder)),
        ("task", header.task_id),
        ("data", header.data_id),
        ("recipe id", header.recipe_id),
        ("parent", "" if header.parent is None else str(header.parent)),
        ("hypothesis", header.hypothesis),
        ("change", header.change),
        ("predicted", header.predicted),
    ]


def _compare(lab: Lab, refs: Sequence[str]) -> tuple[dict[str, Any], list[Part]]:
    from hone.lab.compare import compare

    found = compare([lab.run(ref) for ref in refs])
    lines = [[key, *(str(value) for value in values)] for key, values in found.recipe.items()]
    for metric, scores in found.scores.items():
        lines.append([f"dev {metric}", *(_score_text(score) for score in scores)])
        texts = ["" if effect is None else _effect_text(effect.to_json()) for effect in found.effects[metric]]
        lines.append([f"against {found.runs[0].number}", *texts])
    head = ["", *(run.header.folder_name for run in found.runs)]
    return found.to_json(), [(head, lines), *(f"note: {note}" for note in found.notes)]


def _tree(lab: Lab) -> tuple[dict[str, Any], list[Part]]:
    from hone.lab.compare import trees

    found = trees(lab.runs(), lab.artifacts())
    readings = lab.test_readings()
    parts: list[Part] = []
    for data_id, branches in found.items():
        parts.append(f"data {data_id}")
        parts += [line for branch in branches for line in _branch_lines(branch, 1)]
    parts.append("test split: read once" if len(readings) == 1 else f"test split: read {len(readings)} times")
    for reading in readings:
        parts.append("  ".join(part for part in (" -", reading.read, reading.reason, reading.artifact) if part))
    document = {
        "data": {data_id: [branch.to_json() for branch in branches] for data_id, branches in found.items()},
        "test_readings": [asdict(reading) for reading in readings],
    }
    return document, parts


def _branch_lines(branch: Branch, depth: int) -> Iterator[str]:
    run: Run = branch.run
    score = run.scores().get(run.header.metric) or next(iter(run.scores().values()), None)
    parts = [run.header.folder_name, run.status, _score_text(score), run.header.change]
    yield "  " * depth + "  ".join(part for part in parts if part)
    for item in branch.artifacts:
        came = f"checkpoint {item.checkpoint} -> " if item.checkpoint else ""
        yield "  " * (depth + 1) + f"{came}artifact {item.id}  {item.path}  {item.size_bytes:,} bytes  {item.status}"
    for child in branch.children:
        yield from _branch_lines(child, depth + 1)


def _score_text(score: Score | None) -> str:
    return "" if score is None else str(score)


def _effect_text(effect: dict[str, Any]) -> str:
    return f"{effect['mean']:+.3f} [{effect['low']:+.3f}, {effect['high']:+.3f}] {effect['verdict']}"


def _verdict_text(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    names = {"effect": "mean", "effect_low": "low", "effect_high": "high", "verdict": "verdict"}
    return _effect_text({names[key]: value for key, value in row.items()})


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table: rich on a terminal, aligned lines otherwise. Columns that are empty in every row are left out."""
    kept = [index for index in range(len(head)) if any(row[index] for row in rows)]
    head, rows = [head[index] for index in kept], [[row[index] for index in kept] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=any(head))
        for name in head:
            table.add_column(name, no_wrap=name not in _WRAPPED)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        Console().print(table)
        return
    lines = [list(head), *map(list, rows)] if any(head) else [list(row) for row in rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(head))] if lines else []
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _say(sentence: str) -> None:
    print(f"hone: {sentence}", file=sys.stderr)
