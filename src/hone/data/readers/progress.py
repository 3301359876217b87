"""How far reading has come, and what was met on the way that a person should hear of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

OnProgress = Callable[[int, int], None]
SHOWN = 2
"""Places that a line names."""


class Progress:
    """Counts the bytes of a source's files as they lie in storage (compressed where they are), and gathers notes.

    ``bytes_done`` of ``bytes_total`` (0 where a store does not tell); ``notes`` counts things that are no fault and yet
    not nothing, such as a pair of surrogates read as one character. ``on_progress(bytes_done, bytes_total)`` is called
    after each block. With ``hides_values`` readers say nothing that may be a value of a row; ``doubtful`` are then the
    names of columns that may be such.
    """

    def __init__(self, on_progress: OnProgress | None = None, *, hides_values: bool = False) -> None:
        self.hides_values = hides_values
        self.doubtful: set[str] = set()
        self.bytes_done = 0
        self.bytes_total = 0
        self.notes: Counter[str] = Counter()
        self._places: dict[str, list[str]] = {}
        self._before = 0
        self._on_progress = on_progress

    def expect(self, size_bytes: int) -> None:
        """There are this many bytes more to read."""
        self.bytes_total += size_bytes

    def at(self, position: int) -> None:
        """The file that is open has been read to this position."""
        self.bytes_done = self._before + position
        if self._on_progress is not None:
            self._on_progress(self.bytes_done, self.bytes_total)

    def end_file(self, size_bytes: int) -> None:
        """The file that was open is done; ``size_bytes`` 0 keeps the last position."""
        self._before = self._before + size_bytes if size_bytes else self.bytes_done
        self.bytes_done = self._before

    def note(self, what: str, times: int = 1) -> None:
        """Count something that people should hear of once reading is done."""
        self.notes[what] += times

    def note_once(self, what: str) -> None:
        """As :meth:`note`, of something that holds for a whole column or file: it is said once and not counted."""
        self.notes[what] = 1

    def note_at(self, what: str, place: str) -> None:
        """As :meth:`note`, of something that many files may have alike: a line names the first places."""
        self.notes[what] += 1
        self._places.setdefault(what, []).append(place)

    def said(self) -> list[str]:
        """The notes as lines, in the order in which they were first met."""
        return [self._line(what, times) for what, times in self.notes.items()]

    def _line(self, what: str, times: int) -> str:
        places = self._places.get(what, [])
        if not places:
            return what if times == 1 else f"{what} ({times:,} times)"
        more = f" and {len(places) - SHOWN:,} more" if len(places) > SHOWN else ""
        return f"{what}: {', '.join(places[:SHOWN])}{more}"
