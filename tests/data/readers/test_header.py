"""A CSV file without a line of names: its first row is read as names, which has to be said."""

from __future__ import annotations

from pathlib import Path

import pytest

from hone.cli import main
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


SECRET = "my secret question is this one,mine\nand what of that one,yours\nwhich of them,theirs\n"
OPEN = "text,label\n" + "".join(f"row {n} of words,{'xy'[n % 2]}\n" for n in range(12))
TASK = """task: t
kind: classify
data: {{train: {train}, dev: 3, test: {test}}}
input: "{{text}}"
output: "{{label}}"
target: 0.5
"""


@pytest.mark.parametrize(
    "test",
    [
        SECRET,
        SECRET + "one,cell,more\n",
        SECRET.replace(",", ";"),
        "mine,my secret question is this one,mine\na,b,c\n",
        "my secret question is this one,\na,b\n",
        "secret,mine\na,b\nSecret,c\n",
        "3.5,secret\n2,1\n",
    ],
)
@pytest.mark.parametrize("bad_rows", ["error", "drop"])
def test_the_first_line_of_a_test_is_told_nowhere(
    test: str, bad_rows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "open.csv").write_text(OPEN)
    (tmp_path / "test.csv").write_text(test)
    told = []
    for arguments in (
        ["look", "open.csv", "--test", "test.csv", "--out", "look", "--bad-rows", bad_rows],
        ["clean", "open.csv", "--test", "test.csv", "--out", "clean", "--bad-rows", bad_rows],
        ["look", "test.csv", "--sensitive", "--out", "look", "--bad-rows", bad_rows],
        ["look", "test.csv", "--sensitive", "--out", "look", "--text", "nope"],
    ):
        main(arguments)
        told.append(capsys.readouterr())
    (tmp_path / "hone.yaml").write_text(TASK.format(train="open.csv", test="test.csv"))
    for arguments in (["check", "."], ["clean", "."], ["look", "."]):
        assert main(arguments) != 0
        told.append(capsys.readouterr())
    for captured in told:
        text = captured.out + captured.err
        assert "secret" not in text.lower(), text
        assert "mine" not in text, text
    assert any("first line is read as names of columns" in captured.out + captured.err for captured in told)


def test_names_of_columns_of_a_test_are_told_where_nobody_doubts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "open.csv").write_text(OPEN)
    (tmp_path / "test.csv").write_text("txt,label\na,b\n")
    (tmp_path / "hone.yaml").write_text(TASK.format(train="open.csv", test="test.csv"))
    assert main(["check", "."]) == 2
    assert 'did you mean "txt"? (columns: txt, label)' in capsys.readouterr().err
