"""Draw the table of attempts of a finished solve as an SVG, from what the solve wrote down.

python tools/draw_attempts.py quickstart docs/attempts.svg
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.text import Text

from hone.cli.live import attempts_table
from hone.files import read_json
from hone.solving.show import TableRow
from hone.task.scores import Score

WIDTH = 120


def rows_of(folder: Path) -> list[TableRow]:
    """Baselines and attempts of the folder's solve, in the order of the live table."""
    (state_file,) = folder.glob(".hone/solve.json")
    state: dict[str, Any] = read_json(state_file)
    rows = [
        TableRow(name=item["name"], what=item["how"], score=Score.from_json(item["score"]), seconds=item["seconds"])
        for item in state["values"]["baselines"]
    ]
    for item in state["attempts"]:
        report = item["report"] or {}
        rows.append(
            TableRow(
                name=item["name"],
                what=item["what"],
                score=Score.from_json(report["score"]) if report.get("score") else None,
                dev_loss=report.get("dev_loss"),
                step=report.get("step", 0),
                steps=item["recipe"]["steps"],
                seconds=report.get("seconds", 0.0),
                status=report.get("status", "failed"),
            )
        )
    return rows


def main() -> None:
    """Write the picture."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    result: dict[str, Any] = read_json(folder / "result.json")
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    higher = result["scores"][result["metric"]]["higher_is_better"]
    words = (
        f"{'solved' if result['solved'] else 'not solved'} in {result['seconds']:.0f} s: test {result['metric']} "
        f"{result['test_score']:.3f} [{result['test_low']:.3f}, {result['test_high']:.3f}], "
        f"{result['size_mb']:.2f} MB, "
        f"{result['ms_per_token']:.2f} ms per token, {result['parity']['status']}"
    )
    table = attempts_table(rows_of(folder), (result["metric"], result["target"], higher), WIDTH)
    console.print(Group(table, Text(""), Text(words, style="bold")))
    out.write_text(console.export_svg(title="hone solve"), encoding="utf-8")


if __name__ == "__main__":
    main()
