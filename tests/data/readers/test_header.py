"""A CSV file without a line of names: its first row is read as names, which has to be said."""

from __future__ import annotations

from pathlib import Path

import pytest

from hone.data.bare import BareFiles
from hone.errors import InputError


def said(folder: Path, text: str, name: str = "a.csv") -> list[str]:
    (folder / name).write_text(text)
    lines: list[str] = []
    assert list(BareFiles([name], folder, lines.append).rows())
    return [line for line in lines if "names of columns" in line]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("hello there friend,greet\nwhere is my money,bank\nhello you,greet\n", "hello there friend"),
        ("good,1\nbad,0\n", "1"),
        ("3.5;gut\n2;schlecht\n", "3.5"),
        ("greet,hi\nbank,money\nGreet,hello\n", "greet"),
        ("a_name_that_is_longer_than_any_name_of_columns,x\nb,y\n", "a_name_that_is_longer_than_any_name_of_columns"),
    ],
)
def test_a_first_line_like_a_row_is_said_to_be_read_as_names(text: str, cell: str, tmp_path: Path) -> None:
    (line,) = said(tmp_path, text)
    assert line == (
        f'a.csv: the first line is read as names of columns ("{cell}"); if it is a row, it is lost: '
        "put a line of 2 names of columns above it, such as text,label"
    )


@pytest.mark.parametrize(
    "text",
    [
        "text,label\ntext,label\n",
        "id,2019,2020\n1,3,4\n",
        "Text,How do you like it here\nx,y\n",
        "beitrag,ort\nhallo,Bonn\n",
        ",sent_more,sent_less\n0,a,b\n",
        "first name,last name\nAnn,Lee\n",
    ],
)
def test_names_of_columns_are_not_doubted(text: str, tmp_path: Path) -> None:
    assert said(tmp_path, text) == []


def test_a_first_row_that_cannot_be_names_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("so it is,so it is\nx,y\n")
    with pytest.raises(InputError) as caught:
        list(BareFiles(["a.csv"], tmp_path, lambda line: None).rows())
    assert "put a line of 2 names of columns above it" in caught.value.problems[-1]
