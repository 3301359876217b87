"""hone.yaml as a new user writes it wrong: every problem at once, with line, value and nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from hone.data.task_file import load_task as load_task_of_data
from hone.errors import InputError
from hone.task.load import load_task, parse_task
from hone.task.spec import Task, json_schema

GOOD = """\
task: voice
kind: extract
data: {train: train.jsonl, dev: 700}
input: "{text}"
output: {intent: "{intent}", slots: "{slots}"}
metric: field_f1
target: 0.8
"""


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        parse_task(text)
    return caught.value.problems


def test_a_right_file_becomes_a_frozen_task() -> None:
    task = parse_task(GOOD)
    assert (task.name, task.kind, task.data.dev, task.target) == ("voice", "extract", 700, 0.8)
    assert task.overlong_rule == "error"
    with pytest.raises(ValueError, match="frozen"):
        task.target = 0.1  # type: ignore[misc]


def test_an_unknown_key_names_the_nearest_and_the_line() -> None:
    (problem,) = problems(GOOD.replace("metric:", "metrc:"))
    assert problem.startswith("hone.yaml:6:")
    assert '"metrc"' in problem
    assert '"metric"' in problem


def test_all_problems_come_at_once_also_the_rules_between_keys() -> None:
    wrong = GOOD.replace("dev: 700", "dve: 700").replace("target: 0.8", "target: 1.2") + "overlong: split\n"
    found = problems(wrong)
    assert [problem.split(":")[1] for problem in found] == ["3", "7", "8"]
    assert "1.2 is out of reach" in found[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("target: 0.8", "target: 1.2"), "out of reach"),
        (("kind: extract", "kind: extrakt"), "extrakt"),
        (("metric: field_f1", "metric: acuracy"), "acuracy"),
        (("task: voice", "task: 2024"), "task: must be a text; got 2024"),
        (("metric: field_f1", "metric: bits_per_byte"), "does not score a task of kind extract"),
        (('input: "{text}"\n', ""), "input: missing"),
        (('"{text}"', '"{text"'), "template"),
        (('"{text}"', '"{}"'), "name a column"),
        (("dev: 700", "dev: 1.5"), "between 0 and 1"),
        (("dev: 700", "test: 0.1"), "data.test: must be a file; without it 10 % of train is hashed out for it"),
        (("dev: 700", "test: 40"), "so leave it out; got 40"),
        (("dev: 700", "ood: [a, b]"), "data.ood: must be a file, glob, folder or hub id of rows from elsewhere; got a"),
        (("train: train.jsonl", "train: 7"), "of the training rows; got 7"),
        (("target: 0.8", "target: 0.8\ntarget: 0.9"), "stands twice"),
        (("kind: extract", "kind: language-model"), "no prompt"),
    ],
)
def test_each_mistake_has_a_sentence(change: tuple[str, str], said: str) -> None:
    assert any(said in problem for problem in problems(GOOD.replace(*change)))


@pytest.mark.parametrize(
    ("section", "key", "kind"),
    [
        ("clean: {rules: {off: false}}", "clean.rules.off", "a boolean"),
        ("clean: {rules: {1: false}}", "clean.rules.1", "a number"),
        ("clean: {rules: {null: {min: 3}}}", "clean.rules.null", "nothing"),
        ("clean: {transforms: [{2020-01-01: {a: 1}}]}", "clean.transforms.0.2020-01-01", "a date"),
        ("clean: {rules: {!!binary aGk=: false}}", "clean.rules.aGk=", "a value of the kind binary"),
        ("on: 3", "on", "a boolean"),
    ],
)
def test_a_key_that_is_no_text_to_yaml_is_said_with_what_to_write(section: str, key: str, kind: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_task(f"{GOOD}{section}\n")
    (problem,) = caught.value.problems
    name = key.rpartition(".")[2]
    assert problem == f'hone.yaml:{GOOD.count(chr(10)) + 1}: {key}: YAML reads {name} as {kind}; quote it: "{name}"'


def test_not_yaml_and_not_there(tmp_path: Path) -> None:
    assert "not valid YAML" in problems("task: [voice")[0]
    assert "found nothing" in problems("")[0]
    with pytest.raises(InputError, match="no such file"):
        load_task(tmp_path)


WRONG = """\
task: voice
kind: {kind}
data: {{train: trian.jsonl, test: test.jsonl}}
input: "{{text}}"
output: "{{label}}"
metric: {metric}
target: 2
"""


@pytest.mark.parametrize("kind", ["clasify", "whatever", "[classify]"])
@pytest.mark.parametrize("metric", ["acc", "accuracy"])
def test_a_wrong_kind_hides_no_other_problem(kind: str, metric: str, tmp_path: Path) -> None:
    """Neither a wrong metric, nor a target that it cannot have, nor data that is not there."""
    (tmp_path / "hone.yaml").write_text(WRONG.format(kind=kind, metric=metric))
    (tmp_path / "train.jsonl").write_text("{}")
    (tmp_path / "test.jsonl").write_text("{}")
    with pytest.raises(InputError) as caught:
        load_task_of_data(tmp_path)
    found = caught.value.problems
    lines = [int(problem.removeprefix(str(tmp_path)).split(":")[1]) for problem in found]
    assert lines == [2, 3, *([6] if metric == "acc" else []), 7]
    assert 'trian.jsonl: there is no such file; did you mean "train.jsonl"?' in found[1]
    assert "2 is out of reach, accuracy is from 0 to 1" in found[-1]


def test_the_kind_that_was_meant_is_what_the_other_keys_are_held_against() -> None:
    found = problems(GOOD.replace("extract", "extrakt").replace("field_f1", "accuracy") + "supervise: [user]\n")
    assert [problem.split(":")[1] for problem in found] == ["2", "6", "8"]
    assert "accuracy does not score a task of kind extract" in found[1]


def test_a_key_that_is_wrong_is_not_said_to_be_missing_too() -> None:
    found = problems(GOOD.replace('"{text}"', "5").replace("target: 0.8", "target: high"))
    assert [problem.split(" ", 1)[1] for problem in found] == [
        "input: must be a text or a list; got 5",
        'target: must be a number; got "high"',
    ]


def test_data_that_is_not_there_is_left_to_who_reads_it_where_all_else_is_right(tmp_path: Path) -> None:
    """A verb that needs no rows, such as a prompt to a run, goes on."""
    (tmp_path / "hone.yaml").write_text(GOOD)
    assert load_task_of_data(tmp_path).data.train == "train.jsonl"


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        (
            GOOD.replace('input: "{text}"', 'input: "{text}'),
            "4:8",
            "the quote that opens here is closed in line 5 only",
        ),
        (GOOD.replace('input: "{text}"', "input: '{text}"), "4:8", "the quote that opens here is never closed"),
        (GOOD + "base: 'scratch\n", "8:7", "the quote that opens here is never closed"),
        (GOOD + "base: scratch: 5m\n", "8:14", "mapping values are not allowed here"),
        (GOOD.replace("700}", "700"), "4:6", "the bracket opens at 3:7"),
        (GOOD + "base: 'two lines\n  of text'\nx: [1\n", "11:1", "the bracket opens at 10:4"),
    ],
)
def test_what_is_no_yaml_is_named_where_it_begins(text: str, where: str, why: str) -> None:
    (problem,) = problems(text.replace('output: {intent: "{intent}", slots: "{slots}"}', 'output: {a: "{b}"}'))
    assert problem.startswith(f"hone.yaml:{where}: not valid YAML: ")
    assert problem.endswith(why)


def test_the_shipped_example_is_right_and_the_schema_names_every_key() -> None:
    example = Path(__file__).parents[2] / "src" / "hone" / "examples" / "voice"
    assert load_task(example).metric == "field_f1"
    names = {field.alias or key for key, field in Task.model_fields.items()}
    assert set(json_schema()["properties"]) == names
