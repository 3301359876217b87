"""The user's own functions: values, types, errors with the row, and the cache key."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from hone.data.signals.own import Own
from hone.data.table import TextRow, text_batch
from hone.errors import InputError

Write = Callable[[str], Path]


def batch(*texts: str) -> pa.RecordBatch:
    rows = [
        TextRow(row=f"f:{n}", source="f", split="train", text=text, input=text, answer=None, label=None, fields="{}")
        for n, text in enumerate(texts, start=1)
    ]
    return text_batch(rows)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(source: str) -> Path:
        (tmp_path / "mine.py").write_text("from __future__ import annotations\n" + source, encoding="utf-8")
        return tmp_path

    return written


@pytest.mark.parametrize(
    ("source", "kind", "values"),
    [
        ("def f(text): return len(text)", pa.float64(), [3.0, 0.0]),
        ("def f(text: str) -> int: return len(text)", pa.int64(), [3, 0]),
        ("def f(text: str) -> bool: return bool(text)", pa.bool_(), [True, False]),
        ("def f(text: str) -> str | None: return text or None", pa.string(), ["two", None]),
        ("def f(texts: list[str]) -> list[float]: return [len(t) / 2 for t in texts]", pa.float64(), [1.5, 0.0]),
        ("def f(texts): return map(len, texts)\nf.batched = True", pa.float64(), [3.0, 0.0]),
        ("class F:\n  def __call__(self, text: str) -> int: return len(text)\nf = F()", pa.int64(), [3, 0]),
    ],
)
def test_a_function_gives_one_value_each_of_the_type_it_promises(
    write: Write, source: str, kind: pa.DataType, values: list[object]
) -> None:
    column = Own(path="mine:f", folder=write(source)).columns(batch("two", "")).column("own:mine:f")
    assert column.type == kind
    assert column.to_pylist() == values


def test_dots_and_a_colon_name_the_same_function(write: Write) -> None:
    folder = write("class Box:\n  @staticmethod\n  def f(text): return 1.0")
    assert Own(path="mine:Box.f", folder=folder).columns(batch("a")).num_rows == 1
    assert Own(path="math.sqrt").name == "own:math.sqrt"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def f(text): return [1]", r"own: mine:f gave \[1\] for row f:1; expected a finite number"),
        ("def f(text): return float('nan') if text == 'b' else 1", r"gave nan for row f:2; expected a finite number"),
        ("def f(text) -> int: return 0.5", r"gave 0.5 for row f:1; expected a whole number"),
        ("def f(text): return text if text == 'b' else True", r"gave 'b' for row f:2; expected True or False"),
        ("def f(text): return 1 / (text != 'b')", r"failed on row f:2 \(1 characters\): ZeroDivisionError"),
        ("def f(texts: list[str]): return [1]", r"gave 1 values for 2 texts; expected one each"),
        ("def f(texts: list[str]): raise KeyError('x')", r"failed on a list of 2 texts: KeyError"),
    ],
)
def test_errors_name_the_function_the_row_and_what_was_returned(write: Write, source: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Own(path="mine:f", folder=write(source)).columns(batch("a", "b"))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("nowhere_at_all:f", "there is no module nowhere_at_all in"),
        ("plain", "is no name of a function; write package.module:function"),
        ("mine:cuont", 'mine has no "cuont"; did you mean "count"'),
        ("mine:value", "is a int, not a function"),
        ("broken:f", r"cannot be imported \(ZeroDivisionError"),
    ],
)
def test_a_name_that_leads_nowhere_says_where_it_ends(write: Write, path: str, says: str) -> None:
    folder = write("def count(text): return 1\nvalue = 3")
    (folder / "broken.py").write_text("1 / 0")
    with pytest.raises(InputError, match=says):
        Own(path=path, folder=folder)


def test_an_edited_function_is_another_version_and_is_read_again(write: Write) -> None:
    before = Own(path="mine:f", folder=write("def f(text): return 1"))
    after = Own(path="mine:f", folder=write("def f(text): return 2"))
    assert before.version != after.version
    assert after.columns(batch("a")).column(0).to_pylist() == [2.0]


def test_two_folders_with_a_module_of_one_name_do_not_meet(tmp_path: Path) -> None:
    signals = []
    for name, value in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(f"def f(text): return {value}")
        signals.append(Own(path="mine:f", folder=tmp_path / name))
    assert [signal.columns(batch("x")).column(0).to_pylist() for signal in signals] == [[1.0], [2.0]]


def test_it_travels_to_workers_by_name(write: Write) -> None:
    signal = Own(path="mine:f", folder=write("def f(text): return len(text)"))
    copy = pickle.loads(pickle.dumps(signal))
    assert copy == signal
    assert copy.columns(batch("abc")).equals(signal.columns(batch("abc")))


def test_rows_that_cannot_be_measured_are_null(write: Write) -> None:
    column = Own(path="mine:f", folder=write("def f(text): return None")).columns(batch("a", "b")).column(0)
    assert column.null_count == 2


@pytest.mark.parametrize(
    "source",
    [
        "import helper\ndef f(text): return helper.value",
        "from helper import value\ndef f(text): return value",
        "from parts.deep import value\ndef f(text): return value",
    ],
)
def test_an_edited_helper_of_the_task_folder_is_another_version_and_is_read_again(write: Write, source: str) -> None:
    folder = write(source)
    (folder / "parts").mkdir()
    (folder / "parts" / "__init__.py").write_text("")
    (folder / "parts" / "deep.py").write_text("from . import shallow\nvalue = shallow.value\n")
    versions, figures = set(), []
    for figure in (1.0, 2.0):
        for file in (folder / "helper.py", folder / "parts" / "shallow.py"):
            file.write_text(f"value = {figure}\n")
        own = Own(path="mine:f", folder=folder)
        versions.add(own.version)
        figures += own.columns(batch("a")).column(0).to_pylist()
    assert len(versions) == 2
    assert figures == [1.0, 2.0]


def test_files_that_the_function_does_not_import_change_nothing(write: Write) -> None:
    folder = write("import json\ndef f(text): return 1")
    before = Own(path="mine:f", folder=folder).version
    (folder / "other.py").write_text("1")
    assert Own(path="mine:f", folder=folder).version == before


def test_a_function_may_import_from_the_folder_when_it_is_called(write: Write) -> None:
    folder = write("def f(text):\n  from late_helper import value\n  return value")
    (folder / "late_helper.py").write_text("value = 3")
    own = Own(path="mine:f", folder=folder)
    assert own.columns(batch("a")).column(0).to_pylist() == [3.0]
    (folder / "late_helper.py").write_text("value = 44")
    again = Own(path="mine:f", folder=folder)
    assert again.version != own.version
    assert again.columns(batch("a")).column(0).to_pylist() == [44.0]
