"""Watching a solve: one live table on a terminal, plain lines elsewhere, both from the same events."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hone.data.wording import shortened
from hone.solving.show import Clock, Show, TableRow

PLAIN_EVERY_S = 15.0
PLAIN_WIDTHS = (10, 12, 13, 8, 22, 6, 0)
"""Columns of a plain line; a longer text pushes those behind it."""
BAR_WIDTH = 20
WIDE = 110


def show_for(quiet: bool, stream: Any = None) -> Show:
    """The watcher that fits: live when standard error is a terminal, plain lines otherwise."""
    out = stream if stream is not None else sys.stderr
    if quiet:
        from hone.solving.show import Silent

        return Silent()
    return LiveTable(out) if out.isatty() else PlainLines(out)


class PlainLines:
    """One line per event worth keeping, below a header: each evaluation and stage, the steps at most every 15 s."""

    def __init__(self, out: Any) -> None:
        self.out = out
        self._last: dict[str, tuple[float, TableRow]] = {}
        self._clock: Clock | None = None
        self._target = ""
        self._metric = "score"

    def say(self, line: str) -> None:
        """See :class:`hone.solving.show.Show`."""
        print(line, file=self.out, flush=True)

    def heading(self, line: str) -> None:
        """See :class:`hone.solving.show.Show`."""
        print(f"== {line}", file=self.out, flush=True)

    def target(self, metric: str, target: float, higher_is_better: bool) -> None:
        """See :class:`hone.solving.show.Show`."""
        self._target, self._metric = target_line(metric, target, higher_is_better), metric
        self.say(self._target)

    def row(self, row: TableRow) -> None:
        """See :class:`hone.solving.show.Show`."""
        now = time.monotonic()
        seen, before = self._last.get(row.name, (-PLAIN_EVERY_S, None))
        if before is not None and not _is_news(before, row) and now - seen < PLAIN_EVERY_S:
            return
        if not self._last:
            self.say("  " + _columns(("attempt", "what", "steps", "dev loss", self._metric, "time", "status")))
        self._last[row.name] = (now, row)
        if row.scored_at not in (None, row.step) and row.status != "finished":  # a score has a line of its own step
            row = replace(row, score=None, dev_loss=None)
        clock = clock_text(self._clock)
        name, *rest = cells(row)
        self.say("  " + _columns((shortened(name, PLAIN_WIDTHS[0]), *rest)) + (clock and f"  {clock}"))

    def clock(self, clock: Clock) -> None:
        """See :class:`hone.solving.show.Show`."""
        self._clock = clock

    def close(self) -> None:
        """See :class:`hone.solving.show.Show`."""


def _is_news(before: TableRow, row: TableRow) -> bool:
    """Whether a row is to be printed at once: it was judged, or something else than steps goes on or is done."""
    if row.score != before.score or row.scored_at != before.scored_at:
        return row.score is not None
    return row.status not in ("running", before.status)


def _columns(texts: Sequence[str]) -> str:
    return "  ".join(text.ljust(width) for text, width in zip(texts, PLAIN_WIDTHS, strict=True)).rstrip()


class LiveTable:
    """The table redrawn in place by rich, lines scrolling above it."""

    def __init__(self, out: Any) -> None:
        from rich.console import Console
        from rich.live import Live

        self.console = Console(file=out, highlight=False)
        self._rows: dict[str, TableRow] = {}
        self._clock: Clock | None = None
        self._target: tuple[str, float, bool] | None = None
        self._live = Live(self._draw(), console=self.console, refresh_per_second=4, transient=False)
        self._live.start()

    def say(self, line: str) -> None:
        """See :class:`hone.solving.show.Show`."""
        self.console.print(line, markup=False)

    def heading(self, line: str) -> None:
        """See :class:`hone.solving.show.Show`."""
        from rich.text import Text

        self.console.print(Text(line, style="bold"))

    def target(self, metric: str, target: float, higher_is_better: bool) -> None:
        """See :class:`hone.solving.show.Show`."""
        self._target = (metric, target, higher_is_better)
        self._refresh()

    def row(self, row: TableRow) -> None:
        """See :class:`hone.solving.show.Show`."""
        self._rows[row.name] = row
        self._refresh()

    def clock(self, clock: Clock) -> None:
        """See :class:`hone.solving.show.Show`."""
        self._clock = clock
        self._refresh()

    def close(self) -> None:
        """See :class:`hone.solving.show.Show`."""
        self._clock = None
        self._refresh()
        self._live.stop()

    def _refresh(self) -> None:
        self._live.update(self._draw())

    def _draw(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        parts: list[Any] = []
        if self._rows:
            parts.append(attempts_table(list(self._rows.values()), self._target, self.console.width))
        if self._clock is not None:
            parts.append(Text(clock_text(self._clock), style="dim"))
        return Group(*parts)


def attempts_table(rows: list[TableRow], target: tuple[str, float, bool] | None, width: int) -> Any:
    """The table of attempts as a rich renderable: baselines first, the target line between, then attempts.

    On a terminal narrower than 110 columns the bars are left out, so that no figure is cut.
    """
    from rich.table import Table
    from rich.text import Text

    scored = next((row.score.name for row in rows if row.score is not None), "score")
    metric = target[0] if target else scored
    # Only "what" gives way on a narrow terminal: its beginning says enough.
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", expand=True)
    table.add_column("attempt", no_wrap=True)
    table.add_column("what", no_wrap=True, overflow="ellipsis", ratio=1)
    for name in ("steps", "dev loss"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(metric, no_wrap=True)
    bars = width >= WIDE
    if bars:
        table.add_column("", no_wrap=True, width=BAR_WIDTH)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    baselines = [row for row in rows if not row.steps]
    attempts = [row for row in rows if row.steps]
    for row in baselines:
        table.add_row(*_styled(row, target, bars))
    if target:
        mark = [_bar(None, target)] if bars else []
        table.add_row(Text("target", style="cyan"), "", "", "", Text(f"{target[1]:.3f}", style="cyan"), *mark, "", "")
    for row in attempts:
        table.add_row(*_styled(row, target, bars))
    return table


def _styled(row: TableRow, target: tuple[str, float, bool] | None, bars: bool) -> list[Any]:
    from rich.text import Text

    name, what, steps, loss, score, seconds, status = cells(row)
    reached = bool(row.score and target and row.score.reaches(target[1]))
    style = "green" if reached else ("" if row.steps else "dim")
    tail = Text(status, style="yellow" if row.status == "running" else style)
    return [
        *(Text(part, style=style) for part in (name, what, steps, loss, score)),
        *([_bar(row, target)] if bars else []),
        Text(seconds, style=style),
        tail,
    ]


def _bar(row: TableRow | None, target: tuple[str, float, bool] | None) -> Any:
    """The score's interval on a scale from 0 to 1 with the target's mark (metrics in [0, 1] only)."""
    from rich.text import Text

    if target is None or not target[2] or not 0 <= target[1] <= 1:
        return Text("")
    goal = min(BAR_WIDTH - 1, int(target[1] * BAR_WIDTH))
    if row is None:
        return Text("\u00a0" * goal + "▾", style="cyan")  # plain spaces at a line's beginning are cut
    if row.score is None:
        return Text("")
    filled, low, high = (int(value * BAR_WIDTH) for value in (row.score.mean, row.score.low, row.score.high))
    text = Text()
    for at in range(BAR_WIDTH):
        inside = low <= at <= high
        mark = "━" if at < filled else ("─" if inside else " ")
        mark = "┃" if at == goal and not at < filled else mark
        text.append(mark, style="cyan" if at == goal else ("bold" if inside else "dim"))
    return text


def cells(row: TableRow) -> tuple[str, str, str, str, str, str, str]:
    """A row's texts: name, what, steps, loss, score, seconds, status."""
    steps = f"{row.step:,}/{row.steps:,}" if row.steps else ""
    loss = "" if row.dev_loss is None else f"{row.dev_loss:.3f}"
    score = "" if row.score is None else f"{row.score.mean:.3f} [{row.score.low:.3f}, {row.score.high:.3f}]"
    if row.score is not None and row.scored_at not in (None, row.step):
        score += f" at {row.scored_at:,}"
    rate = f" {row.tokens_per_second:,.0f} tok/s" if row.tokens_per_second and row.status == "running" else ""
    left = "" if row.left_s is None or row.status != "running" else f", {_duration(row.left_s)} left"
    return (
        row.name,
        row.what,
        steps,
        loss,
        score,
        f"{row.seconds:.0f} s" if row.seconds else "",
        row.status + rate + left,
    )


def _duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever has one or two digits."""
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def clock_text(clock: Clock | None) -> str:
    """``stage · 123 of 480 s used · about 60 s to the end of this stage``."""
    if clock is None:
        return ""
    left = "" if clock.stage_left_s is None else f" · about {max(0, clock.stage_left_s):.0f} s left in it"
    return f"{clock.stage}{left} · {clock.used_s:.0f} of {clock.box_s:.0f} s of the box used"


def target_line(metric: str, target: float, higher_is_better: bool) -> str:
    """The target in words."""
    side = "at least" if higher_is_better else "at most"
    return f"target: {metric} {side} {target:g} at the pessimistic end of its 95 % interval"
