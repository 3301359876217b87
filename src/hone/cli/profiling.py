"""Profile figures of a data version's rows, for comparing two."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hone.data.rows import Row
from hone.task.spec import Clean, Task

CACHE = Path(".hone") / "cache" / "data"
SIGNALS = ("length", "language", "script", "pii", "toxicity", "disclaimer", "exact")


def profile_of(folder: Path, task: Task | None) -> Callable[[Iterable[tuple[str, Row]]], dict[str, Any]]:
    """A function from the rows of a version to its figures by name. What was measured before is not measured again."""
    from hone.data.cleaning import Given, plan_of
    from hone.data.looking.figures import Figures, LookOptions
    from hone.data.looking.profile import profile
    from hone.data.measure import measure
    from hone.data.rules import decide
    from hone.data.store import TextStore
    from hone.data.table import batches
    from hone.data.view import view_of_rows, view_of_task

    def figures(rows: Iterable[tuple[str, Row]]) -> dict[str, Any]:
        held = list(rows)
        view = view_of_task(task) if task is not None else view_of_rows([row for _, row in held[:2000]])
        laid = (view.row(row, row.id.rpartition(":")[0], split) for split, row in held)
        store = TextStore.of(batches(laid), folder / CACHE)
        section = Clean(preset="none", signals={name: {} for name in SIGNALS})
        plan = plan_of(section, view.kind, Given(folder=folder, with_answer=view.kind != "language-model"))
        measured = measure(store, plan.signals, folder / CACHE)
        return profile(Figures(measured.columns), decide(measured.columns, ()), LookOptions())

    return figures
