"""The context and the rule for longer rows that ``hone init`` writes: what is written can be trained."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from hone.attempts.bench import prepare_bench
from hone.cli import main
from hone.data.prepare import prepare
from hone.data.rendered_with import renderer_trained_on
from hone.data.rows import Row
from hone.data.task_file import load_task
from hone.data.tokens import examples
from hone.errors import InputError
from hone.solving.defaults import default_recipe

WORDS = ("opening", "hours", "of", "our", "shop", "by", "the", "sea", "are", "long", "in", "summer", "and", "short")


def prepared(rows, folder: Path):
    """The task that ``hone init`` writes of rows, with the tokens of its first run, and what is said."""
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task_folder = folder / "t"
    given = ["--data", str(folder / "rows.jsonl"), "--kind", "generate", "--target", "0.5"]
    assert main(["init", str(task_folder), *given, "--quiet"]) == 0
    task = load_task(task_folder)
    said: list[str] = []
    data = prepare(task, task_folder, task_folder / ".hone", said.append)
    recipe = default_recipe(task, data, seed=0, threads=1)
    return task, prepare_bench(task, data, recipe, task_folder / ".hone", said.append), said


def text(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(WORDS, k=words))


def conversation(draw: random.Random, exchanges: int, words: int = 12) -> dict:
    turns = [{"role": "system", "content": "be brief"}]
    for _ in range(exchanges):
        turns += [{"role": role, "content": text(draw, words)} for role in ("user", "assistant")]
    return {"messages": turns}


def test_long_conversations_lose_turns_and_their_number_is_told(tmp_path):
    draw = random.Random(0)
    rows = [conversation(draw, 2 + number % 3) for number in range(100)] + [conversation(draw, 400) for _ in range(5)]
    draw.shuffle(rows)
    task, bench, said = prepared(rows, tmp_path)
    assert (task.overlong, task.device.context) == ("drop-turns", 2048)
    assert max(len(example.ids) for example in (*bench.train, *bench.dev)) <= 2048
    assert any("turns left from the front of" in line for line in said)
    assert "5 of 105 rows are longer than 2,048 tokens" in (tmp_path / "t" / "hone.yaml").read_text().replace(
        "\n# ", " "
    )


def test_a_few_rows_that_are_far_too_long_are_left_out_and_counted(tmp_path):
    draw = random.Random(1)
    rows = [{"prompt": text(draw, 10), "completion": text(draw, 10)} for _ in range(119)]
    rows.append({"prompt": text(draw, 10), "completion": text(draw, 30_000)})
    task, bench, _ = prepared(rows, tmp_path)
    assert (task.overlong, task.device.context) == ("drop", 2048)
    assert len(bench.train) + len(bench.dev) >= 100


def test_the_context_is_measured_in_tokens_where_text_is_dense(tmp_path):
    draw = random.Random(2)
    letters = [chr(0x4E00 + one) for one in range(4000)]  # three bytes each, and nearly each another
    rows = [{"prompt": "".join(draw.choices(letters, k=300)), "completion": "x"} for _ in range(60)]
    task, bench, _ = prepared(rows, tmp_path)
    longest = max(len(example.ids) for example in (*bench.train, *bench.dev))
    assert task.overlong == "error"
    assert task.device.context / 2 < longest <= task.device.context


def test_a_refusal_says_what_dropping_turns_would_bring_and_what_it_has_brought(tmp_path):
    draw = random.Random(3)
    rows = [conversation(draw, 2) for _ in range(60)] + [conversation(draw, 100)] * 2
    rows.append({"messages": [*conversation(draw, 3)["messages"], *conversation(draw, 1, 3000)["messages"][1:]]})
    prepared(rows, tmp_path)
    written = load_task(tmp_path / "t")
    kept = [Row(id=f"rows:{number}", fields=row) for number, row in enumerate(rows)]
    for rule, words in (
        ("error", r"^train: 3 of 63 rows are longer .* leave \(enough for 2 of these\), or `overlong: drop`"),
        (
            "drop-turns",
            r"^train: 1 of 63 rows is longer .* answer alone, 6 older turns having left; the longest: rows:62",
        ),
    ):
        device = written.device.model_copy(update={"context": 512})
        task = written.model_copy(update={"overlong": rule, "device": device})
        renderer, _ = renderer_trained_on(task, kept[:60], ())
        with pytest.raises(InputError, match=words):
            examples(kept, renderer, tmp_path, context=512, overlong=rule, say=lambda line: None)
