"""Batches of Arrow as rows of plain values: what each type becomes, at any depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hone.data.readers.plain_values import MOMENT, PlainValues, date_text, duration_text, moment_text, time_text
from hone.data.rows import Bad, Row

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_ISO = "text in ISO 8601"
_MS_PER_DAY = 86_400_000


def rows_of(batch: Any, name: str, done: int, plain: PlainValues) -> Iterator[Row | Bad]:
    """Rows of a record batch; ids are the file's name and count from ``done`` + 1."""
    names = batch.schema.names
    columns = [_values(column, of, plain) for column, of in zip(batch.columns, names, strict=True)]
    made = plain.made if plain.has_unfit else Row
    for number, values in enumerate(zip(*columns, strict=True), done + 1):
        yield made(f"{name}:{number}", dict(zip(names, values, strict=True)))


def repeated_names(fields: Any, path: str = "") -> dict[str, int]:
    """Columns, and fields of structs below them, that have one name several times, and how often."""
    from pyarrow import types

    fields = list(fields)
    names = [field.name for field in fields]
    twice = {f"{path}{name}": names.count(name) for name in sorted(set(names)) if names.count(name) > 1}
    for field in fields:
        kind = field.type
        while _is_list(kind):
            kind = kind.value_type
        if types.is_struct(kind):
            twice |= repeated_names((kind.field(at) for at in range(kind.num_fields)), f"{path}{field.name}.")
    return twice


def _values(array: Any, column: str, plain: PlainValues) -> list[Any]:
    """The plain values (N,) of an array (N,) of any type."""
    from pyarrow import types

    kind = array.type
    if _is_plain(kind):
        try:
            return list(array.to_pylist())
        except UnicodeDecodeError:  # then value by value, to name the row
            pass
    if types.is_dictionary(kind):
        return _values(array.dictionary_decode(), column, plain)
    if types.is_run_end_encoded(kind):
        from pyarrow import compute

        return _values(compute.run_end_decode(array), column, plain)
    if types.is_struct(kind):
        return _structs(array, column, plain)
    if types.is_map(kind):
        return _maps(array, column, plain)
    if _is_list(kind):
        return _lists(array, column, plain)
    return _leaves(array, column, plain)


def _is_plain(kind: Any) -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        return all(_is_plain(kind.field(at).type) for at in range(kind.num_fields))
    if _is_list(kind):
        return _is_plain(kind.value_type)
    return _is_text(kind) or types.is_integer(kind) or types.is_boolean(kind) or types.is_null(kind)


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
    return any(is_one(kind) for is_one in lists)


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return any(is_one(kind) for is_one in (types.is_string, types.is_large_string, types.is_string_view))


def _structs(array: Any, column: str, plain: PlainValues) -> list[Any]:
    names = [array.type.field(at).name for at in range(array.type.num_fields)]
    if not names:
        return list(array.to_pylist())
    parts = [_values(part, f"{column}.{name}", plain) for part, name in zip(array.flatten(), names, strict=True)]
    there = array.is_valid().to_pylist()
    return [
        dict(zip(names, values, strict=True)) if is_there else None
        for is_there, *values in zip(there, *parts, strict=True)
    ]


def _lists(array: Any, column: str, plain: PlainValues) -> list[Any]:
    from pyarrow import compute

    flat = iter(_values(array.flatten(), column, plain))
    lengths = compute.list_value_length(array).to_pylist()
    return [None if length is None else [next(flat) for _ in range(length)] for length in lengths]


def _maps(array: Any, column: str, plain: PlainValues) -> list[Any]:
    """Objects where the keys are texts that differ, otherwise lists of pairs."""
    import pyarrow

    pair = pyarrow.struct([("key", array.type.key_type), ("value", array.type.item_type)])
    made: list[Any] = []
    for pairs in _lists(array.cast(pyarrow.list_(pair)), column, plain):
        keys = [one["key"] for one in pairs or ()]
        as_object = all(isinstance(key, str) for key in keys) and len(set(keys)) == len(keys)
        if pairs is None:
            made.append(None)
        elif as_object:
            made.append({one["key"]: one["value"] for one in pairs})
        else:
            made.append([[one["key"], one["value"]] for one in pairs])
    return made


def _leaves(array: Any, column: str, plain: PlainValues) -> list[Any]:
    from pyarrow import types

    kind = array.type
    if types.is_temporal(kind):
        return _moments(array, column, plain)
    if types.is_floating(kind):
        return _numbers(array, column, plain)
    if types.is_decimal(kind) and kind.scale <= 0:
        plain.read_as(column, str(kind), "whole numbers")
        return [None if value is None else int(value) for value in array.to_pylist()]
    if _is_text(kind):
        return _texts(array, column, plain)
    if hasattr(kind, "storage_type") and kind.extension_name != "arrow.uuid":
        return _values(array.storage, column, plain)
    return [plain.value(value, column) for value in array.to_pylist()]


def _numbers(array: Any, column: str, plain: PlainValues) -> list[Any]:
    from pyarrow import compute

    values = list(array.to_pylist())
    if compute.all(compute.is_finite(array)).as_py() in (True, None):
        return values
    return [plain.value(value, column) for value in values]


def _texts(array: Any, column: str, plain: PlainValues) -> list[Any]:
    """Texts whose bytes are not all UTF-8, which Arrow does not check when it reads."""
    import pyarrow

    def text(raw: bytes) -> Any:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            found = f"byte 0x{raw[error.start]:02x} at byte {error.start:,} of the value ({error.reason})"
            return plain.unfit(column, "UTF-8 text", found)

    raws = array.cast(pyarrow.large_binary()).to_pylist()
    return [None if raw is None else text(raw) for raw in raws]


def _moments(array: Any, column: str, plain: PlainValues) -> list[Any]:
    """Moments, dates, times of day and lengths of time, out of their whole numbers: no unit is too fine for this."""
    import pyarrow
    from pyarrow import types

    kind = array.type
    if types.is_interval(kind):
        plain.read_as(column, str(kind), _ISO)
        return [None if value is None else _interval(value) for value in array.to_pylist()]
    write = _writer(kind)
    has_zone = types.is_timestamp(kind) and kind.tz is not None
    plain.read_as(column, str(kind), _ISO + ", in UTC" * has_zone)

    def text(value: int) -> Any:
        try:
            return write(value)
        except (ValueError, OverflowError):
            return plain.unfit(column, MOMENT, f"{value:,} ({kind} since 1970)")

    whole = pyarrow.int32() if kind.bit_width == 32 else pyarrow.int64()
    return [None if value is None else text(value) for value in array.cast(whole).to_pylist()]


def _writer(kind: Any) -> Callable[[int], str]:
    from pyarrow import types

    if types.is_date32(kind):
        return date_text
    if types.is_date64(kind):
        return lambda value: date_text(value // _MS_PER_DAY)
    per_second = _PER_SECOND[kind.unit]
    if types.is_timestamp(kind):
        return lambda value: moment_text(value, per_second, has_zone=kind.tz is not None)
    if types.is_duration(kind):
        return lambda value: duration_text(value, per_second)
    return lambda value: time_text(value, per_second)


def _interval(value: Any) -> str:
    months, days, nanoseconds = value
    return duration_text(nanoseconds, 10**9, months=months, days=days)
