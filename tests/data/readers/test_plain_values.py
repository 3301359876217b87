"""Dates, exact numbers, bytes and NaN of Parquet, Arrow and databases: rows hold what JSON can hold, and say so."""

from __future__ import annotations

import base64
import json
import math
import sqlite3
import uuid
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from hone.data.columns import columns_of
from hone.data.read import Progress, read
from hone.data.readers.arrow_values import rows_of
from hone.data.readers.plain_values import PlainValues
from hone.data.rows import Bad, Row
from hone.errors import InputError

PICTURE = b"\x89PNG\r\n\x1a\n"


def table_of(**columns: pa.Array) -> tuple[list[Row | Bad], list[str]]:
    progress = Progress()
    batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    return list(rows_of(batch, "a.parquet", 0, PlainValues(progress))), progress.said()


def values_of(array: pa.Array) -> tuple[list[Any], list[str]]:
    rows, said = table_of(c=array)
    assert all(isinstance(row, Row) for row in rows), rows
    fields = [row.fields for row in rows if isinstance(row, Row)]
    assert json.loads(json.dumps(fields, allow_nan=False)) == fields
    return [one["c"] for one in fields], said


# Hand-made instants: 1,000,000,000 s after 1970 is 2001-09-09T01:46:40Z.
@pytest.mark.parametrize(
    ("kind", "number", "text"),
    [
        (pa.timestamp("s"), 10**9, "2001-09-09T01:46:40"),
        (pa.timestamp("ms"), 10**12 + 5, "2001-09-09T01:46:40.005"),
        (pa.timestamp("ns"), 10**18 + 1, "2001-09-09T01:46:40.000000001"),
        (pa.timestamp("us", "Europe/Berlin"), 10**15, "2001-09-09T01:46:40+00:00"),
        (pa.timestamp("s"), -1, "1969-12-31T23:59:59"),
        (pa.date32(), -1, "1969-12-31"),
        (pa.date64(), 86_400_000 * 59, "1970-03-01"),
        (pa.time32("ms"), 3_661_020, "01:01:01.020"),
        (pa.time64("ns"), 1, "00:00:00.000000001"),
        (pa.duration("s"), 0, "PT0S"),
        (pa.duration("ms"), 93_784_500, "P1DT2H3M4.500S"),
        (pa.duration("us"), -60 * 10**6, "-PT1M"),
        (pa.duration("s"), 86_400 * 2, "P2D"),
    ],
)
def test_moments_of_every_unit_are_text_in_iso_8601_and_said(kind: pa.DataType, number: int, text: str) -> None:
    whole = pa.int32() if kind.bit_width == 32 else pa.int64()
    found, said = values_of(pa.array([number, None], whole).cast(kind))
    assert found == [text, None]
    in_utc = ", in UTC" if "tz=" in str(kind) else ""
    assert said == [f'column "c": {kind} read as text in ISO 8601{in_utc}']


@given(
    moments=st.lists(st.none() | st.datetimes(timezones=st.none() | st.just(UTC)), max_size=5),
    days=st.lists(st.none() | st.dates(), max_size=5),
    hours=st.lists(st.none() | st.times(), max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_python_reads_the_same_moments_back(
    moments: list[datetime | None], days: list[date | None], hours: list[time | None]
) -> None:
    plain = [moment for moment in moments if moment is None or moment.tzinfo is None]
    aware = [moment for moment in moments if moment is None or moment.tzinfo is not None]
    for values, kind, parse in (
        (plain, pa.timestamp("us"), datetime.fromisoformat),
        (aware, pa.timestamp("us", "UTC"), datetime.fromisoformat),
        (days, pa.date32(), date.fromisoformat),
        (hours, pa.time64("us"), time.fromisoformat),
    ):
        found, _ = values_of(pa.array(values, kind))
        assert [None if text is None else parse(text) for text in found] == values


def test_a_moment_that_iso_8601_cannot_write_is_a_bad_row() -> None:
    rows, _ = table_of(when=pa.array([0, 9 * 10**18], pa.timestamp("us")), text=pa.array(["a", "b"]))
    assert rows[0] == Row("a.parquet:1", {"when": "1970-01-01T00:00:00", "text": "a"})
    assert isinstance(rows[1], Bad)
    assert (rows[1].id, rows[1].field, rows[1].expected) == ("a.parquet:2", "when", "a moment of the years 1 to 9999")


def test_decimals_keep_every_digit() -> None:
    assert values_of(pa.array([Decimal("0.10"), None], pa.decimal128(38, 2)))[0] == ["0.10", None]
    assert values_of(pa.array([Decimal(10**30)], pa.decimal256(40, 0)))[0] == [10**30]


def test_bytes_are_text_where_they_are_utf8_and_an_object_otherwise() -> None:
    for kind in (pa.binary(), pa.large_binary(), pa.binary_view()):
        found, said = values_of(pa.array(["ü".encode(), PICTURE, None], kind))
        assert found == ["ü", {"base64": base64.b64encode(PICTURE).decode()}, None]
        assert len(said) == 2


def test_text_that_is_not_utf8_is_a_bad_row_and_the_others_are_read() -> None:
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"caf\xe9", b"tea"]).buffers())
    for array in (broken, pa.StructArray.from_arrays([broken], ["in"])):
        rows, _ = table_of(c=array)
        assert isinstance(rows[0], Bad)
        assert (rows[0].expected, rows[0].found[:9]) == ("UTF-8 text", "byte 0xe9")
        assert isinstance(rows[1], Row)


def test_nan_is_null_and_counted_and_an_infinity_is_a_bad_row() -> None:
    found, said = values_of(pa.array([0.5, math.nan, None, math.nan]))
    assert found == [0.5, None, None, None]
    assert said == ['column "c": NaN, as pandas writes what is missing, read as null (2 times)']
    assert values_of(pa.array([math.nan], pa.float16()))[0] == [None]
    rows, _ = table_of(c=pa.array([1.0, math.inf, -math.inf]))
    assert [isinstance(row, Bad) for row in rows] == [False, True, True]


def test_values_inside_structs_lists_maps_and_dictionaries_are_plain_too() -> None:
    day, dec = date(2024, 2, 29), Decimal("1.5")
    deep = pa.struct([("days", pa.list_(pa.date32())), ("price", pa.decimal128(4, 1)), ("score", pa.float64())])
    rows = [{"days": [day, None], "price": dec, "score": math.nan}, None, {"days": None, "price": None, "score": 1.0}]
    found, said = values_of(pa.array([None, *rows, None], deep)[1:4])
    assert found == [
        {"days": ["2024-02-29", None], "price": "1.5", "score": None},
        None,
        {"days": None, "price": None, "score": 1.0},
    ]
    assert 'column "c.days": date32[day] read as text in ISO 8601' in said
    fixed = pa.array([[day, day], None, [None, day]], pa.list_(pa.date32(), 2))[1:]
    assert values_of(fixed)[0] == [None, [None, "2024-02-29"]]
    objects = pa.array([[("k", day)], None, []], pa.map_(pa.string(), pa.date32()))
    assert values_of(objects)[0] == [{"k": "2024-02-29"}, None, {}]
    pairs = pa.array([[(1, "a"), (2, "b")]], pa.map_(pa.int64(), pa.string()))
    assert values_of(pairs)[0] == [[[1, "a"], [2, "b"]]]
    assert values_of(pa.array([day, None, day]).dictionary_encode())[0] == ["2024-02-29", None, "2024-02-29"]
    assert values_of(pa.array([[{"a": 1}], [], None]))[0] == [[{"a": 1}], [], None]
    one = uuid.UUID(int=5)
    assert values_of(pa.ExtensionArray.from_storage(pa.uuid(), pa.array([one.bytes], pa.binary(16))))[0] == [str(one)]


def test_a_field_that_a_struct_has_twice_is_an_error(tmp_path: Path) -> None:
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink:
        batch = pa.RecordBatch.from_arrays([twice], names=["in"])
        with pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
    with pytest.raises(InputError, match=r'has the column "in\.x" 2 times'):
        list(read("a.arrow", tmp_path))


def test_parquet_and_saved_datasets_say_each_column_once_and_times_are_text_to_look_at(tmp_path: Path) -> None:
    moments = pa.array([datetime(2024, 1, n % 28 + 1, tzinfo=UTC).replace(tzinfo=None) for n in range(9000)])
    table = pa.table({"when": moments, "note": pa.array(["x", None] * 4500)})
    parquet.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "saved").mkdir()
    with pa.OSFile(str(tmp_path / "saved" / "d.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1000)
    (tmp_path / "saved" / "state.json").write_text(json.dumps({"_data_files": [{"filename": "d.arrow"}]}))
    for source in ("a.parquet", "saved"):
        progress = Progress()
        rows = [row for row in read(source, tmp_path, progress=progress) if isinstance(row, Row)]
        assert progress.said() == ['column "when": timestamp[us] read as text in ISO 8601']
        assert rows[8999].fields == {"when": moments[8999].as_py().isoformat(), "note": None}
        assert [column.kind for column in columns_of(rows)] == ["text", "text"]


def test_values_of_a_driver_are_plain_like_those_of_arrow() -> None:
    progress = Progress()
    plain = PlainValues(progress)
    names = list("abcdefgh")
    east = timezone(timedelta(hours=2))
    values = (
        datetime(2024, 1, 1, 1, tzinfo=east), date(2024, 1, 1), Decimal("1E+3"), memoryview(b"x"), math.nan,
        timedelta(hours=1), uuid.UUID(int=1), [Decimal("0.50"), (time(1, 2), None)],
    )  # fmt: skip
    row = plain.row("query:1", names, values)
    assert isinstance(row, Row)
    assert list(row.fields.values()) == [
        "2023-12-31T23:00:00+00:00", "2024-01-01", "1000", "x", None,
        "PT1H", str(uuid.UUID(int=1)), ["0.50", ["01:02:00", None]],
    ]  # fmt: skip
    assert 'column "a": moments read as text in ISO 8601, in UTC' in progress.said()
    bad = plain.row("query:2", ["a"], (object(),))
    assert isinstance(bad, Bad)
    assert bad.expected == "a value that JSON can hold"


@pytest.mark.parametrize(
    ("moment", "hours"),
    [(datetime(1, 1, 1, 4, 59), 5), (datetime(9999, 12, 31, 23), -2)],  # noqa: DTZ001 - see below
)
def test_a_moment_that_is_of_no_year_in_utc_is_a_bad_row(moment: datetime, hours: int) -> None:
    plain = PlainValues(Progress())
    aware = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    bad = plain.row("query:1", ["when"], (aware,))
    assert isinstance(bad, Bad)
    assert (bad.field, bad.expected) == ("when", "a moment of the years 1 to 9999")
    assert aware.isoformat() in bad.found
    later = plain.row("query:2", ["when"], (aware.replace(year=2000),))
    assert isinstance(later, Row)


def test_blobs_of_sqlite_are_text_or_an_object(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as database, database:
        database.execute("CREATE TABLE t (a, b)")
        database.executemany("INSERT INTO t VALUES (?, ?)", [(b"tea", "x"), (PICTURE, "y"), (9e999, "z")])
    sources = ["a.db"]
    try:
        import sqlalchemy  # noqa: F401

        sources.append(f"sqlite:///{tmp_path / 'a.db'}::SELECT * FROM t")
    except ImportError:
        pass
    for source in sources:
        progress = Progress()
        first, second, third = read(source, tmp_path, progress=progress)
        assert isinstance(first, Row)
        assert isinstance(second, Row)
        assert (first.fields["a"], list(second.fields["a"])) == ("tea", ["base64"])
        assert isinstance(third, Bad)
        assert third.expected == "a finite number"
        assert 'column "a": bytes that are not UTF-8 read as {"base64": ...}' in progress.said()
