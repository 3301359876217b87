"""Continued pretraining from a real base: plain text in, a model folder out, and the report says how far it went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hone.attempts.carrying import carry_out
from hone.data.prepare import prepare
from hone.data.tokenizer import TextTokenizer
from hone.files import file_hash
from hone.lab.lab import Lab
from hone.model.base import open_base
from hone.model.folder import ModelFolder
from hone.model.neutral import neutral_texts
from hone.task.recipe import Recipe
from hone.task.spec import Task


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sentences = [sentence for text in neutral_texts() for sentence in text.split(". ")]
    rows = [{"text": ". ".join(sentences[at : at + 2])} for at in range(0, len(sentences) - 1, 2)]
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.mark.parametrize(("freeze", "fate"), [((), "trained and saved"), (("*embed*",), "frozen: saved as they began")])
def test_a_base_reads_plain_text_on_and_its_file_stays_as_it_was(
    folder: Path, stories: Path, freeze: tuple[str, ...], fate: str
) -> None:
    task = Task.model_validate(
        {
            "task": "prose",
            "kind": "language-model",
            "data": {"train": "docs.jsonl", "dev": 8, "test": None},
            "output": "{text}",
            "metric": "bits_per_byte",
            "target": 1.0,
            "base": str(stories),
        }
    )
    before = file_hash(stories)
    data = prepare(task, folder, folder / ".hone" / "cache", lambda line: None)
    values = {"base": str(stories), "data": data.id, "optimizer": "adamw", "learning_rate": 1e-3}
    values |= {"steps": 12, "warmup_steps": 1, "eval_every": 12, "batch_size": 4, "context": 128}
    recipe = Recipe.model_validate({**values, "add_tokens": ["harbour"], "freeze": freeze})
    run = Lab(folder, say=lambda line: None).new_run(recipe, task.name, data.id)
    said: list[str] = []
    report = carry_out(run, task, data, recipe, folder / ".hone" / "cache", say=said.append, say_before=said.append)
    numbers = {name: [row[name] for row in run.metrics() if name in row] for name in ("dev_loss", "loss")}
    assert (report.status, report.step) == ("finished", 12)
    assert numbers["dev_loss"][-1] < numbers["dev_loss"][0]
    assert any("nothing speaks against a blank canvas" in line for line in said)
    assert any(f"5 tokens added, their rows are {fate}" in line for line in said)
    assert report.distance is not None
    assert report.distance["relative"] > 0
    assert file_hash(stories) == before
    saved: Any = ModelFolder(run.model, TextTokenizer)
    (word,) = saved.tokenizer().encode("harbour")
    began: Any = open_base(str(stories), TextTokenizer, add_tokens=("harbour",)).module
    rows = (began.get_input_embeddings().weight[word], saved.load().get_input_embeddings().weight[word])
    moved = float((rows[1] - rows[0]).detach().norm())
    assert moved == 0 if freeze else moved > 1e-4
    again: Any = open_base(str(run.model), TextTokenizer)
    assert again.added_tokens == 0
    assert torch.equal(again.module.lm_head.weight, saved.load().lm_head.weight)


def test_a_file_of_llama2c_beside_the_task_is_found_wherever_the_command_is_typed(folder: Path, stories: Path) -> None:
    from hone.task.load import load_task

    (folder / "stories.bin").write_bytes(stories.read_bytes())
    text = 'task: t\nkind: language-model\ndata: {train: docs.jsonl}\noutput: "{text}"\nbase: stories.bin\n'
    (folder / "hone.yaml").write_text(text + "metric: bits_per_byte\ntarget: 1.0\n")
    assert load_task(folder).base == str((folder / "stories.bin").resolve())
