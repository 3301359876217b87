"""Rows in tokens: nothing invented, nothing lost, and what is supervised is what training supervises."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from hone.data import rendered as module
from hone.data.prepare import DataVersion, prepare
from hone.data.rendered import RenderedRow, as_html, as_json, as_terminal, rendered_rows, visible
from hone.data.tokenizer import TextTokenizer, train_tokenizer
from hone.files import write_json
from hone.lab.lab import Lab
from hone.task.load import load_task, parse_task
from hone.task.recipe import Recipe
from hone.task.render import Renderer, task_prompt, task_reference
from hone.task.spec import Task

FIXTURES = Path(__file__).parent
Made = tuple[Task, DataVersion, Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    found = {}
    for name in ("voice", "banking", "shakespeare"):
        folder = shutil.copytree(FIXTURES / name, tmp_path_factory.mktemp("rendered") / name)
        task = load_task(folder)
        found[name] = (task, prepare(task, folder, folder / "cache", lambda line: None), folder)
    return found


def shown(made: Made, count: int = 8, **more: Any) -> tuple[list[RenderedRow], list[str]]:
    task, version, folder = made
    said: list[str] = []
    return rendered_rows(task, folder, version, count, said.append, **more), said


def own_task(folder: Path, rows: list[dict[str, str]], **values: Any) -> Made:
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "test.jsonl").write_text('{"q": "the sealed one", "a": "x"}', encoding="utf-8")
    data = "data: {train: train.jsonl, dev: 2, test: test.jsonl}\n"
    plain = parse_task(f"task: t\nkind: generate\n{data}input: '{{q}}'\noutput: '{{a}}'\ntarget: 0.5\n")
    task = plain.model_copy(update=values)
    return task, prepare(task, folder, folder / "cache", lambda line: None), folder


def text_of(row: RenderedRow, supervised: bool) -> str:
    return "".join(piece.text for piece in row.pieces if piece.supervised is supervised and not piece.special)


@pytest.mark.parametrize("name", ["voice", "banking", "shakespeare"])
def test_pieces_join_to_prompt_and_answer_and_the_counts_add_up(name: str, made: dict[str, Made]) -> None:
    task, version, _ = made[name]
    fields = {row.id: row.fields for row in version.train}
    rows, _ = shown(made[name])
    assert len(rows) == len({row.row for row in rows}) == 8
    for row in rows:
        assert row.num_prompt + row.num_supervised == row.num_tokens == sum(piece.tokens for piece in row.pieces)
        assert [piece.text for piece in row.pieces if piece.special][-1] == "<|end|>"
        if any(piece.gap for piece in row.pieces):
            continue
        if task.kind != "language-model":
            assert text_of(row, supervised=False) == " " + task_prompt(task, fields[row.row])
        if task.kind == "language-model":
            assert text_of(row, supervised=True) == fields[row.row]["text"]
        if task.kind == "classify":
            label = task_reference(task, fields[row.row])
            assert [p.text for p in row.pieces if p.supervised] == [f"<|label:{label}|>", "<|end|>"]
        if task.kind == "extract":
            assert '{"intent":" ' in text_of(row, supervised=True)


def test_longest_shortest_and_the_others_by_seed(made: dict[str, Made]) -> None:
    rows, said = shown(made["voice"])
    assert [row.why for row in rows] == ["longest"] * 2 + ["shortest"] * 2 + ["random"] * 4
    assert min(rows[i].num_tokens for i in (0, 1)) > max(rows[i].num_tokens for i in (2, 3))
    again, _ = shown(made["voice"])
    assert again == rows
    others, _ = shown(made["voice"], seed=1)
    assert [row.row for row in others[:4]] == [row.row for row in rows[:4]]
    assert {row.row for row in others[4:]} != {row.row for row in rows[4:]}
    supervised, total = sum(row.num_supervised for row in rows), sum(row.num_tokens for row in rows)
    assert any(f"{supervised:,} of {total:,} in these 8 rows are supervised" in line for line in said)
    assert any("was trained on" in line for line in said)


def test_fewer_rows_than_asked_for_are_all_shown_once(tmp_path: Path) -> None:
    rows, _ = shown(own_task(tmp_path, [{"q": f"question {n}", "a": f"answer {n}"} for n in range(9)]), 50)
    assert len({row.row for row in rows}) == len(rows) > 3


def test_characters_of_several_tokens_stay_whole(tmp_path: Path) -> None:
    # Byte-level tokens cut these characters into pieces that are no text by themselves.
    hard = "naïve 中文 👩\u200d💻 🇩🇪 \ufffd!"
    rows, _ = shown(own_task(tmp_path, [{"q": f"{n} {hard}", "a": hard} for n in range(12)]), 4)
    for row in rows:
        assert text_of(row, supervised=False).endswith(hard)
        assert text_of(row, supervised=True) == " " + hard


def test_text_that_looks_like_a_special_token_is_text(tmp_path: Path) -> None:
    rows, _ = shown(own_task(tmp_path, [{"q": f"{n} <|end|> <|answer|>", "a": "<|end|>"} for n in range(12)]), 4)
    for row in rows:
        assert [piece.text for piece in row.pieces if piece.special] == ["<|answer|>", "<|end|>"]
        assert text_of(row, supervised=True) == " <|end|>"


def test_long_rows_are_cut_for_showing_and_say_what_training_does(tmp_path: Path) -> None:
    many = [{"q": f"{n} " + " ".join(str(i * n) for i in range(900)), "a": f"{n}"} for n in range(12)]
    (row, *_), _ = shown(own_task(tmp_path, many), 4)
    assert row.note == "longer than the context of 256 tokens: training refuses it"
    gap = next(piece for piece in row.pieces if piece.gap)
    assert gap.text == f"... {gap.tokens:,} tokens left out here ..."
    assert sum(piece.tokens for piece in row.pieces) == row.num_tokens
    assert len(row.pieces) < 2 * module.PROMPT_SHOWN


def test_documents_say_into_how_many_pieces_they_are_cut(made: dict[str, Made]) -> None:
    row = shown(made["shakespeare"])[0][0]
    # Every piece repeats the begin, so a piece holds 255 of the other ids.
    assert row.note.endswith(f"cut into {-(-(row.num_tokens - 1) // 255)} pieces")


# Which tokenizer.


def test_the_latest_run_that_has_a_model_lends_its_tokenizer(tmp_path: Path) -> None:
    task, version, folder = own_task(tmp_path, [{"q": f"question {n}", "a": f"answer {n}"} for n in range(12)])
    tokenizer = train_tokenizer(["question answer"] * 9, 300)
    lab = Lab(folder, say=lambda line: None)
    run = lab.new_run(Recipe(), "t", version.id, name="wider")
    tokenizer.save(run.model)
    renderer = Renderer.of_task(task, tokenizer)
    write_json(run.model / "hone.json", {"renderer": renderer.to_json()})
    rows, said = shown((task, version, folder))
    assert any(f"tokenizer of run {run.number} (wider), {tokenizer.vocab_size:,} ids" in line for line in said)
    row = next(row for row in version.train if row.id == rows[0].row)
    assert rows[0].num_tokens == len(renderer.example(row.id, row.fields).ids)
    changed = task.model_copy(update={"input": "Q: {q}"})
    _, said = shown((changed, version, folder))
    assert any("rendered with other templates" in line for line in said)
    assert any("was trained on" in line for line in said)


def test_a_base_folder_lends_its_tokenizer_with_hones_special_tokens(tmp_path: Path) -> None:
    base = tmp_path / "base"
    train_tokenizer(["question answer"] * 9, 280).save(base)
    _, said = shown(own_task(tmp_path, [{"q": f"q {n}", "a": "a"} for n in range(12)], base=str(base)))
    assert any(f"tokenizer of the base {base}" in line for line in said)
    assert TextTokenizer.open(base).vocab_size <= 280


def test_a_base_that_is_not_here_is_said(tmp_path: Path) -> None:
    _, said = shown(own_task(tmp_path, [{"q": f"q {n}", "a": "a"} for n in range(12)], base="nobody/nothing"))
    assert any("base nobody/nothing is not on this machine" in line for line in said)


# Ways to show them.


class Visible(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags, self._skip = "", [], False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self._skip = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._skip = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._skip else data


def test_html_shows_every_row_and_no_text_becomes_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script> & </p>"
    rows, _ = shown(own_task(tmp_path, [{"q": f"{n} {evil}", "a": evil} for n in range(12)]), 4)
    page = Visible()
    page.feed(as_html(rows))
    assert set(page.tags) <= {"div", "style", "p", "span", "section", "h4"}
    assert page.text.count(evil) == 8
    assert page.tags.count("section") == 4
    assert "supervised" in page.text


def test_the_terminal_gets_colours_or_brackets_and_no_control_characters(tmp_path: Path) -> None:
    evil = "a\x1b[2Jb\u202ec\nd"
    rows, _ = shown(own_task(tmp_path, [{"q": f"{n} {evil}", "a": evil} for n in range(12)]), 4)
    coloured, plain = as_terminal(rows, 80), as_terminal(rows, 80, colour=False)
    assert "\x1b[2J" not in coloured
    assert "\u202e" not in coloured
    assert "\x1b" not in plain
    assert "a<U+001B>[2Jb<U+202E>c↵\nd" in plain
    assert plain.count("[[") == plain.count("]]") == len(rows) + 1  # once in the legend
    assert "<|answer|>[[ a" in plain
    assert max(map(len, plain.splitlines())) <= 80
    for code in ("36m", "96m", "33m", "93m"):
        assert code in coloured


def test_nothing_is_hidden() -> None:
    assert visible("a\tb\u200bc\u2028d") == "a⇥\tb<U+200B>c<U+2028>d"
    assert visible("👩\u200d💻") == "👩\u200d💻", "a joiner inside one character is no hidden text"


def test_json_is_plain(made: dict[str, Made]) -> None:
    rows, _ = shown(made["banking"], 4)
    (first, *_), again = as_json(rows), json.loads(json.dumps(as_json(rows)))
    assert len(again) == 4
    assert first["row"] == rows[0].row
    assert sum(piece["tokens"] for piece in again[0]["pieces"]) == again[0]["num_tokens"]


def test_neither_torch_nor_transformers_is_needed() -> None:
    code = "import sys, hone.data.rendered; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# Encoders.


def test_rows_of_an_encoder_are_shown_between_its_marks_with_what_is_supervised_in_place(tmp_path: Path) -> None:
    rows = [{"text": f"fly {n} to rome now", "entities": [{"type": "city", "text": "rome"}]} for n in range(60)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    values = {"task": "t", "kind": "tag", "data": {"train": "train.jsonl", "dev": 10}, "target": 0.5}
    write_json(tmp_path / "hone.yaml", {**values, "input": "{text}", "output": "{entities}"})
    task = load_task(tmp_path)
    version = prepare(task, tmp_path, tmp_path / "cache", lambda line: None)
    found, lines = shown((task, version, tmp_path), 2)
    assert any("for an encoder" in line for line in lines)
    for row in found:
        names = [piece.text for piece in row.pieces]
        assert (names[0], names[-1]) == ("<|begin|>", "<|end|>")
        assert [piece.supervised for piece in row.pieces][1:-1] == [True] * (len(names) - 2)
        assert "".join(names[1:-1]) == next(r.fields["text"] for r in version.train if r.id == row.row)
