"""A look and cleaning keep the same rows: what is shown before is what is done."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path

import pytest

from hone.data.cleaned_files import clean_files
from hone.data.looking.task_survey import survey_task
from hone.data.prepare import prepare
from hone.data.survey import Survey, Wishes, survey_files
from hone.data.versions import version_rows
from hone.task.load import load_task
from hone.task.spec import Clean

DATA = Path(__file__).resolve().parents[1]
PRESETS = ("task", "web", "none")


def _pages(count: int) -> list[str]:
    """Paragraphs out of the words of a play: pages that the rules for pages keep, and of each defect a few."""
    play = (DATA / "shakespeare" / "train.txt").read_text(encoding="utf-8")
    words = sorted(set(re.findall(r"[a-z]{2,9}", play.lower())))
    draw = random.Random(0)

    def sentence() -> str:
        some = draw.sample(words, 9)
        return f"The {some[0]} of the {some[1]} and {some[2]} to {' '.join(some[3:])} with that."

    pages = ["\n".join(sentence() for _ in range(8)) for _ in range(count)]
    pages += [pages[0].upper(), pages[1] + " Soon.", pages[2].replace("the", "The"), ""]
    pages += ["short", "{" + pages[3], f"<html><body><p>{pages[4]}</p></body></html>", "one line again\n" * 40]
    return [*pages, "\n".join(f"{line} ..." for line in pages[5].splitlines()), pages[6][:200]]


def _kept(survey: Survey) -> set[str]:
    rows = survey.columns.column("row").to_pylist()
    return {rows[at] for at in survey.decisions.keep.nonzero()[0]}


@pytest.mark.parametrize("preset", PRESETS)
def test_bare_files(preset: str, tmp_path: Path) -> None:
    texts = _pages(20)
    files = {"pages.jsonl": [{"text": text} for text in texts], "test.jsonl": [{"text": texts[7]}, {"text": texts[8]}]}
    for name, rows in files.items():
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    section, wishes = Clean(preset=preset), Wishes(test=str(tmp_path / "test.jsonl"))
    surveys = [
        survey_files(
            [str(tmp_path / "pages.jsonl")],
            tmp_path,
            section,
            tmp_path / f"cache-{looking}",
            lambda line: None,
            wishes=wishes,
            looking=looking,
        )
        for looking in (True, False)
    ]
    version = clean_files(surveys[1], section, tmp_path / "out", lambda line: None)
    done = {row.id for _, row in version_rows(tmp_path / "out", version.id)}
    assert _kept(surveys[0]) == done
    assert 10 <= len(done) < len(texts)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("more", ["", ', limits: {"*": 9}', ", rules: {near-duplicate: true, gopher-words: {min: 60}}"])
def test_a_task_of_documents(preset: str, more: str, tmp_path: Path) -> None:
    texts = _pages(20)
    for name, rows in {"train": texts, "test": texts[7:9], "dev": [*texts[9:11], "other words of dev"]}.items():
        lines = "".join(json.dumps({"text": text or " "}) + "\n" for text in rows)
        (tmp_path / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "hone.yaml").write_text(
        "task: t\nkind: language-model\ndata: {train: train.jsonl, dev: dev.jsonl, test: test.jsonl}\n"
        f'output: "{{text}}"\ntarget: 2\nclean: {{preset: {preset}{more}}}\n',
        encoding="utf-8",
    )
    _agree(tmp_path)


@pytest.mark.parametrize("name", ["banking", "voice"])
@pytest.mark.parametrize("preset", ["task", "none"])
def test_tasks_of_real_rows(name: str, preset: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DATA / name, tmp_path / name))
    with (folder / "hone.yaml").open("a", encoding="utf-8") as file:
        file.write(f'\nclean: {{preset: {preset}, rules: {{label-conflict: true}}, limits: {{"*": 250}}}}\n')
    _agree(folder)


def _agree(folder: Path) -> None:
    task = load_task(folder)
    survey = survey_task(task, folder, folder / "cache-of-look", lambda line: None)
    version = prepare(task, folder, folder / "cache", lambda line: None)
    done = {row.id for row in (*version.train, *version.dev)}
    assert _kept(survey) == done
    assert 0 < len(done) < survey.columns.num_rows
