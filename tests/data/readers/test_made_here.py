"""What hone wrote into a folder of data is not read as data, which is said; files of others are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hone.cli import main
from hone.data.read import find
from hone.errors import InputError


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two files of rows that was looked at and cleaned into itself."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pages"
    folder.mkdir()
    for name in ("a", "b"):
        lines = [json.dumps({"text": f"page {name} number {at} of the folder"}) for at in range(9)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert main(["look", "pages", "--out", "pages"]) == 0
    assert main(["clean", "pages", "--out", "pages", "--quiet"]) == 0
    return folder


def names(source: str, base: Path) -> list[str]:
    return [file.name for file in find(source, base).files]


def test_a_folder_that_was_cleaned_into_itself_has_the_same_rows_again(
    pages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    head = json.loads((pages / "versions" / "head.json").read_text())
    assert len(list(pages.rglob("*.json*"))) > 5
    assert main(["clean", "pages", "--out", "pages"]) == 0
    told = capsys.readouterr().out
    assert "pages: left out: 2 files that hone made, 5 files that hone made in versions\n" in told
    assert "18 of 18 rows kept" in told
    assert json.loads((pages / "versions" / "head.json").read_text()) == head


def test_a_version_whose_writer_was_killed_before_it_was_the_head_is_left_out_too(pages: Path) -> None:
    (pages / "versions" / "head.json").unlink()
    assert names("pages", pages.parent) == ["a.jsonl", "b.jsonl"]


@pytest.mark.parametrize("pattern", ["pages/*.json*", "pages/**/*.json*", "*/*.jsonl", "**/*.jsonl*"])
def test_a_pattern_takes_no_more_than_a_folder(pages: Path, pattern: str) -> None:
    assert [Path(name).name for name in names(pattern, pages.parent)] == ["a.jsonl", "b.jsonl"]


def test_what_is_named_is_read(pages: Path) -> None:
    version = next((pages / "versions").glob("*/"))
    kept = f"pages/versions/{version.name}/kept.jsonl.gz"
    assert names(kept, pages.parent) == ["kept.jsonl.gz"]
    assert [Path(name).name for name in names("pages/versions/*/kept.jsonl.gz", pages.parent)] == ["kept.jsonl.gz"]
    assert [Path(name).name for name in names("p*/versions/*/kept.jsonl.gz", pages.parent)] == ["kept.jsonl.gz"]
    with pytest.raises(InputError, match=r"under .* but 1 file that hone made in pages/versions"):
        find("**/kept.jsonl.gz", pages.parent)


def test_files_of_others_are_read_whatever_their_name(tmp_path: Path) -> None:
    for name in ("versions/1/version.json", "versions/head.json", "report.json", "report.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('{"text": "a row"}\n')
    assert names(".", tmp_path) == ["report.json", "versions/1/version.json", "versions/head.json"]
    assert find(".", tmp_path).left_out == ("report.html",)
