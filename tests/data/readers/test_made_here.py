"""What hone wrote into a folder of data is not read as data, which is said; files of others are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hone.cli import main
from hone.data.read import find
from hone.errors import InputError
from hone.lab.lab import Lab
from hone.task.recipe import Recipe

TASK = """task: t
kind: classify
data: {train: '*.jsonl', dev: 5}
input: "{text}"
output: "{label}"
target: 0.5
"""


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


def test_edits_and_runs_of_a_task_folder_are_no_rows_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "task"
    folder.mkdir()
    (folder / "hone.yaml").write_text(TASK, encoding="utf-8")
    lines = [json.dumps({"text": f"row {at} of words", "label": "xy"[at % 2]}) for at in range(40)]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert main(["data", "edit", str(folder), "rows.jsonl:3", "label=y"]) == 0
    run = Lab(folder, say=lambda line: None).new_run(Recipe(), "task0", "data0")
    run.log(1, loss=2.5)
    for name in ("test_readings.jsonl", "artifacts/artifacts.jsonl"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}\n")
    for pattern in ("*.jsonl", "**/*.jsonl", "."):
        assert names(pattern, folder) == ["rows.jsonl"]
    assert any(line.endswith("that hone made in runs") for line in find("**/*.json*", folder).left_out)
    capsys.readouterr()
    assert main(["clean", str(folder), "--quiet"]) == 0
    assert names("runs/*/metrics.jsonl", folder) == [f"{run.folder.name}/metrics.jsonl"]


@pytest.mark.parametrize("name", ["patches.jsonl", "test_readings.jsonl", "runs/a/run.json", "artifacts/a.jsonl"])
def test_a_name_alone_makes_no_file_one_of_hone(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text('{"text": "a row"}\n')
    assert names(".", tmp_path) == [name]


def test_folders_in_folders_are_looked_at_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        place = tmp_path / "versions" / f"v{number}"
        place.mkdir(parents=True)
        for name in ("version.json", "rows.jsonl"):
            (place / name).write_text('{"text": "a row"}\n')
    opened: list[Path] = []
    real = Path.open

    def counting(self: Path, *args: Any, **given: Any) -> Any:
        opened.append(self)
        return real(self, *args, **given)

    monkeypatch.setattr(Path, "open", counting)
    assert len(find(".", tmp_path).files) == 60
    assert len(opened) == 30
