"""``hone runs diagnose RUN``: what happened in a run, in a few lines, as a page, or as JSON; pages of curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.errors import HoneError

if TYPE_CHECKING:
    from hone.lab.run import Run

PAGE = "diagnosis.html"
RATES_PAGE = "rates.html"
"""In the task folder: the curve that ``hone train --find rate`` has found."""


def diagnose(run: Run, out: str | None) -> tuple[dict[str, Any], list[str]]:
    """The document of a run and the lines for people; the page is written to ``out``, or into the run's folder."""
    from hone.attempts.diagnosing import diagnose_run, page_of
    from hone.files import atomic_write

    document = diagnose_run(run)
    path = atomic_write(Path(out) if out else run.folder / PAGE, page_of(document))
    found = document["verdict"]
    lines = [found["sentence"], *(f"  - {advice}" for advice in found["advice"])]
    slow = [part for part in document["slow"] if part["too_much"] and part["part"] != "compute"]
    lines += [f"slow: {part['part']} takes {part['share']:.0%}; {part['sentence']}" for part in slow]
    if document["memory"]:
        lines.append(document["memory"]["line"])
    spoken = len(document["events"])
    if spoken:
        first = document["events"][0]
        lines.append(
            f"guards spoke {spoken:,} time{'s' * (spoken > 1)}, first at step {first['step']:,}: {first['line']}"
        )
    return {**document, "page": str(path)}, [*lines, f"page: {path}"]


def write_rates(folder: Path, base: str, document: Mapping[str, Any], command: str) -> str | None:
    """Where the page of a test of learning rates was written, which is printed; None where it could not be.

    Args:
        folder: the task folder, in which it goes.
        base: of the recipe that was tested.
        document: what was found.
        command: that uses it.
    """
    from hone.attempts.diagnosing import rates_page
    from hone.files import atomic_write

    place = folder / RATES_PAGE
    try:
        atomic_write(place, rates_page(document, f"{folder.resolve().name}, {base}", command))
    except (HoneError, OSError) as error:
        print(f"the page was not written: {error}")
        return None
    print(f"page: {place}")
    return str(place)
