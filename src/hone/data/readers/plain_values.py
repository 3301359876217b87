"""Values of tables and databases as JSON can hold them: dates as text, exact numbers, bytes, what is not a number."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hone.data.readers.progress import Progress
from hone.data.rows import Bad, Row, kind_of

BASE64 = "base64"
MOMENT = "a moment of the years 1 to 9999"
"""What is expected of a moment that ISO 8601 shall write."""
_PLAIN = frozenset({str, int, bool, type(None)})
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Unfit:
    """Stands in a row for a value that JSON cannot hold: the row becomes a :class:`Bad`."""

    column: str
    expected: str
    found: str


class PlainValues:
    """Turns values of one source into text, numbers, booleans, null, lists and objects, and notes what it turned.

    - dates, times and moments are text in ISO 8601, moments of a time zone in UTC; so are lengths of time;
    - decimals are text, digit by digit;
    - bytes are text where they are UTF-8, and otherwise ``{"base64": ...}``: an object, which is taken for no text;
    - NaN is null, because pandas writes so what is missing; an infinity is :class:`Unfit`, as it is in JSON.
    """

    def __init__(self, progress: Progress) -> None:
        self.has_unfit = False
        self._progress = progress

    def row(self, row_id: str, names: list[str], values: Any) -> Row | Bad:
        """A row of values as a driver gives them."""
        if not _PLAIN.issuperset(map(type, values)):
            values = [self.value(value, name) for name, value in zip(names, values, strict=True)]
        return self.made(row_id, dict(zip(names, values, strict=True)))

    def made(self, row_id: str, fields: dict[str, Any]) -> Row | Bad:
        """The row of turned values, or the first of them that JSON cannot hold."""
        if self.has_unfit and (unfit := _first_unfit(fields)) is not None:
            return Bad(row_id, unfit.column, unfit.expected, unfit.found)
        return Row(row_id, fields)

    def value(self, value: Any, column: str) -> Any:
        """One value; an :class:`Unfit` for one that JSON cannot hold."""
        if type(value) in _PLAIN:
            return value
        if isinstance(value, float):
            return self._number(value, column)
        if isinstance(value, bytes | bytearray | memoryview):
            return self._of_bytes(bytes(value), column)
        if isinstance(value, Mapping):
            return {str(key): self.value(part, f"{column}.{key}") for key, part in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(part, column) for part in value]
        if isinstance(value, Decimal):
            return self._decimal(value, column)
        if isinstance(value, UUID):
            return str(value)
        return self._moment(value, column)

    def read_as(self, column: str, kind: str, form: str) -> None:
        """Note once for a column that its values are turned."""
        self._progress.note_once(f'column "{column}": {kind} read as {form}')

    def not_a_number(self, column: str, times: int) -> None:
        """Note values that are NaN."""
        self._progress.note(f'column "{column}": NaN, as pandas writes what is missing, read as null', times)

    def unfit(self, column: str, expected: str, found: str) -> Unfit:
        """What stands for a value that JSON cannot hold."""
        self.has_unfit = True
        return Unfit(column, expected, found)

    def _number(self, value: float, column: str) -> Any:
        if math.isfinite(value):
            return float(value)
        if math.isinf(value):
            return self.unfit(column, "a finite number", kind_of(value))
        self.not_a_number(column, 1)
        return None

    def _of_bytes(self, value: bytes, column: str) -> Any:
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            self._progress.note(f'column "{column}": bytes that are not UTF-8 read as {{"{BASE64}": ...}}')
            return {BASE64: base64.b64encode(value).decode("ascii")}
        self.read_as(column, "bytes", "UTF-8 text")
        return text

    def _decimal(self, value: Decimal, column: str) -> Any:
        if not value.is_finite():
            return self._number(float("nan") if value.is_nan() else float(value), column)
        self.read_as(column, "decimals", "text, digit by digit")
        return format(value, "f")

    def _moment(self, value: Any, column: str) -> Any:
        if isinstance(value, datetime):
            has_zone = value.tzinfo is not None
            self.read_as(column, "moments", f"text in ISO 8601{', in UTC' * has_zone}")
            try:
                return (value.astimezone(UTC) if has_zone else value).isoformat()
            except OverflowError:
                return self.unfit(column, MOMENT, f"{value.isoformat()}, which is outside of them in UTC")
        if isinstance(value, date | time):
            self.read_as(column, "dates" if isinstance(value, date) else "times of day", "text in ISO 8601")
            return value.isoformat()
        if isinstance(value, timedelta):
            self.read_as(column, "lengths of time", "text in ISO 8601")
            return duration_text(value // timedelta(microseconds=1), 10**6)
        if isinstance(value, str | int):
            return int(value) if isinstance(value, int) else str(value)
        return self.unfit(column, "a value that JSON can hold", kind_of(value))


def _first_unfit(value: Any) -> Unfit | None:
    if isinstance(value, Unfit):
        return value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for part in parts if (found := _first_unfit(part)) is not None), None)


def date_text(days: int) -> str:
    """The date that is so many days after 1970-01-01.

    Raises:
        ValueError: outside the years 1 to 9999, which ISO 8601 writes in four digits.
        OverflowError: as well.
    """
    return date.fromordinal(_EPOCH_DAY + days).isoformat()


def time_text(units: int, per_second: int) -> str:
    """The time of day that is so many units after midnight; a fraction has the digits of the unit, none when 0."""
    seconds, part = divmod(units, per_second)
    minutes, second = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}{_fraction(part, per_second)}"


def moment_text(units: int, per_second: int, *, has_zone: bool) -> str:
    """The moment that is so many units after 1970-01-01T00:00:00, with ``+00:00`` where there is a time zone.

    Raises:
        ValueError: as :func:`date_text`.
        OverflowError: as well.
    """
    days, rest = divmod(units, _DAY_S * per_second)
    return f"{date_text(days)}T{time_text(rest, per_second)}{'+00:00' * has_zone}"


def duration_text(units: int, per_second: int, *, months: int = 0, days: int = 0) -> str:
    """A length of time such as ``P1DT2H3M4.500S``; a negative one begins with a minus."""
    sign = "-" if units < 0 and not (months or days) else ""
    more_days, rest = divmod(abs(units) if sign else units, _DAY_S * per_second)
    days += more_days
    seconds, part = divmod(rest, per_second)
    date_part = (f"{months}M" if months else "") + (f"{days}D" if days else "")
    hours, minutes = f"{seconds // 3600}H", f"{seconds // 60 % 60}M"
    time_part = (hours if seconds >= 3600 else "") + (minutes if seconds // 60 % 60 else "")
    if seconds % 60 or part or not (date_part or time_part):
        time_part += f"{seconds % 60}{_fraction(part, per_second)}S"
    return f"{sign}P{date_part}{'T' * bool(time_part)}{time_part}"


def _fraction(part: int, per_second: int) -> str:
    return f".{part:0{len(str(per_second)) - 1}}" if part else ""
