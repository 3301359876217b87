"""What the shipped defaults keep: rules for web pages would delete a task's short rows, the task's own must not."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from hone.data.prepare import prepare
from hone.data.presets import PRESETS, preset
from hone.data.rules import check_one_each
from hone.data.signals import registry
from hone.data.survey import Wishes, survey_files
from hone.errors import InputError
from hone.task.load import load_task
from hone.task.spec import Clean, Task

FIXTURES = Path(__file__).parent


def fold(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()


def texts(path: Path) -> list[str]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return [row["text"] for row in csv.DictReader(file)]
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("name", "suffix"), [("voice", "jsonl"), ("banking", "csv")])
def test_the_default_keeps_every_row_that_is_neither_a_duplicate_nor_in_the_test(
    name: str, suffix: str, tmp_path: Path
) -> None:
    folder = shutil.copytree(FIXTURES / name, tmp_path / name)
    version = prepare(load_task(folder), folder, tmp_path / "cache", lambda line: None)
    in_test = {fold(text) for text in texts(folder / f"test.{suffix}")}
    wanted = {fold(text) for text in texts(folder / f"train.{suffix}")} - in_test
    kept = {fold(str(row.fields["text"])) for row in (*version.train, *version.dev)}
    assert kept == wanted


def test_the_rules_for_web_pages_would_delete_nearly_all_of_them(tmp_path: Path) -> None:
    file = "train.jsonl"
    kept = {}
    for name in ("none", "task", "web"):
        survey = survey_files(
            [file],
            FIXTURES / "voice",
            Clean(preset=name),
            tmp_path / name,
            lambda line: None,
            wishes=Wishes(text="text"),
            looking=False,
        )
        kept[name] = float(survey.decisions.keep.mean())
    assert kept["none"] == 1.0
    assert kept["task"] > 0.95
    assert kept["web"] < 0.05


@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.parametrize("kind", ["classify", "extract", "generate", "language-model", None])
def test_every_rule_has_a_source_a_measure_and_a_threshold(name: str, kind: str | None) -> None:
    found = preset(name, kind)
    check_one_each(found.rules)
    for rule in found.rules:
        assert rule.source
        assert rule.signal in registry.SIGNALS
        assert rule.absent or rule.one_of or rule.low is not None or rule.high is not None
    assert {signal for signal, _ in found.signals} <= set(registry.SIGNALS)


def test_no_preset_decides_by_toxic_words_or_by_groups_that_are_named() -> None:
    """Plain lists strike what minorities say and what is said of them; a person turns such a rule on, seeing it."""
    decided = {rule.signal for name in PRESETS for rule in preset(name).rules}
    assert not decided & {"toxicity", "bias"}


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(InputError, match='did you mean "task"'):
        preset("tasks")


def test_a_refusal_is_an_answer_until_a_person_says_otherwise(tmp_path: Path) -> None:
    """Tool data teach when no tool fits by refusals; only speaking of being a model is noise in every task."""
    said = ("It rains.", "I'm sorry, but I can't assist with that. I can only count.", "As an AI language model, no.")
    rows = [{"prompt": f"question {n}", "answer": f"{said[n % 3]} Number {n}."} for n in range(60)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    wished = {"task": "t", "kind": "generate", "data": {"train": "train.jsonl"}, "target": 0.1}
    task = Task.model_validate({**wished, "input": "{prompt}", "output": "{answer}"})
    kept = {}
    for name, rules in (("default", {}), ("all", {"disclaimer": False}), ("neither", {"refusal": True})):
        asked = task.model_copy(update={"clean": Clean.model_validate({"rules": rules})})
        version = prepare(asked, tmp_path, tmp_path / "cache", lambda line: None)
        left = (*version.train, *version.dev)
        kept[name] = {text for text in said for row in left if str(row.fields["answer"]).startswith(text)}
    assert kept == {"default": set(said[:2]), "all": set(said), "neither": {said[0]}}


def test_no_conversation_leaves_for_one_sentence_of_an_assistant(tmp_path: Path) -> None:
    """Of real conversations with tools 16 in 300 end in "as an AI, I don't have the capability to ..."."""
    turns = [("user", "add 1 to {}"), ("assistant", "it is one more than {}"), ("user", "order {} pizzas")]
    turns.append(("assistant", "As an AI, I cannot order {}."))
    rows = [{"talk": [{"role": who, "content": text.format(n)} for who, text in turns]} for n in range(40)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    wished = {"task": "t", "kind": "generate", "data": {"train": "train.jsonl"}, "target": 0.1}
    task = Task.model_validate({**wished, "conversation": "{talk}"})
    version = prepare(task, tmp_path, tmp_path / "cache", lambda line: None)
    assert len(version.train) + len(version.dev) + version.test.n == 40
    asked = task.model_copy(update={"clean": Clean.model_validate({"rules": {"disclaimer": True}})})
    with pytest.raises(InputError, match="nothing is left"):
        prepare(asked, tmp_path, tmp_path / "cache", lambda line: None)
