"""``hone init`` as a new user types it: right data, wrong input, what is proposed and why."""

from __future__ import annotations

import json
import re

import pytest

from hone.cli import main
from hone.data.held_out import TEST_SHARE
from hone.data.prepare import prepare
from hone.data.presets import preset
from hone.errors import InputError
from hone.model.encoders import ENCODER_PRESETS
from hone.task.load import load_task
from hone.task.scores import wilson
from hone.task.spec import Device


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(capsys, *words):
    assert main(["init", *map(str, words), "--json", "--quiet"]) == 2
    return json.loads(capsys.readouterr().out.splitlines()[-1])["error"]["problems"]


def test_classify_from_csv(here, fixtures, capsys):
    words = ["--data", fixtures / "banking/train.csv", "--test", fixtures / "banking/test.csv", "--kind", "classify"]
    assert main(["init", "tickets", *map(str, words)]) == 0
    task = load_task("tickets")
    assert (task.name, task.kind, task.input, task.output) == ("tickets", "classify", "{text}", "{category}")
    assert task.metric == "accuracy"
    said = capsys.readouterr().err
    assert "half the way from the most similar training row's answer (accuracy 0.8" in said
    assert '"category" has 8 distinct values' in said


def test_extract_takes_every_other_column_into_the_object(here, fixtures):
    data = str(fixtures / "voice/train.jsonl")
    assert main(["init", "v", "--data", data, "--kind", "extract", "--target", "0.8"]) == 0
    assert load_task("v").output == {"intent": "{intent}", "slots": "{slots}"}


def test_an_answer_may_be_columns_with_commas_or_an_object(here, fixtures):
    data = str(fixtures / "voice/train.jsonl")
    rest = ["--data", data, "--kind", "extract", "--target", "0.8", "--output"]
    assert main(["init", "a", *rest, "intent"]) == 0
    assert main(["init", "b", *rest, '{what: "{intent}", all: "{slots}"}']) == 0
    assert load_task("a").output == {"intent": "{intent}"}
    assert load_task("b").output == {"what": "{intent}", "all": "{slots}"}


def test_generate_and_a_bare_column_name(here, fixtures):
    data = str(fixtures / "banking/train.csv")
    words = ["--data", data, "--kind", "generate", "--input", "category", "--output", "text", "--target", "0.2"]
    assert main(["init", "g", *words]) == 0
    assert (load_task("g").input, load_task("g").output) == ("{category}", "{text}")


def test_language_model_proposes_a_target_below_the_best_baseline(here, fixtures):
    assert main(["init", "s", "--data", str(fixtures / "shakespeare/train.txt"), "--yes"]) == 0
    task = load_task("s")
    assert (task.kind, task.input, task.output, task.metric) == ("language-model", None, "{text}", "bits_per_byte")
    assert 1.5 < task.target < 3


def test_rows_of_a_known_schema_bring_kind_and_templates(here, fixtures, capsys):
    for name, kind, prompt, answer in (
        ("alpaca_en_demo", "generate", "{prompt}", "{completion}"),
        ("dpo_en_demo", "generate", "{prompt}", "{chosen_text}"),
        ("glaive_toolcall_en_demo", "generate", None, None),
        ("kto_en_demo", "classify", "{prompt}\n\n{completion}", "{kto_label}"),
    ):
        assert main(["init", name, "--data", str(fixtures / f"formats/{name}.json"), "--yes", "--target", "0.5"]) == 0
        task = load_task(name)
        assert (task.kind, task.input, task.output) == (kind, prompt, answer)
        assert "data: recognised as " in capsys.readouterr().err
    assert (load_task("glaive_toolcall_en_demo").conversation, load_task("glaive_toolcall_en_demo").tools) == (
        "{messages}",
        "{tools}",
    )
    words = ["--kind", "generate", "--input", "instruction", "--output", "output", "--target", "0.5"]
    assert main(["init", "own", "--data", str(fixtures / "formats/alpaca_en_demo.json"), *words]) == 0
    assert "recognised" not in capsys.readouterr().err, "nothing is converted where the rows' own columns are named"


def test_what_is_said_about_rows_is_no_label_and_texts_that_belong_together_are_asked_together(here):
    rows = [{"text": f"row number {n} of some words", "lang": ("en", "fr", None)[n % 3]} for n in range(60)]
    (here / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["init", "l", "--data", "rows.jsonl", "--yes", "--target", "5"]) == 0
    assert (load_task("l").kind, load_task("l").output) == ("language-model", "{text}")
    pairs = [{"premise": f"A man plays {n}.", "hypothesis": f"Is it {n}?", "label": n % 2} for n in range(60)]
    (here / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    assert main(["init", "p", "--data", "pairs.jsonl", "--yes", "--target", "0.5"]) == 0
    task = load_task("p")
    assert (task.kind, task.input, task.output) == ("classify", "{premise}\n{hypothesis}", "{label}")


def test_data_beside_the_folder_is_named_relative_and_elsewhere_absolute(here, fixtures):
    (here / "rows.csv").write_text("text,label\n" + "".join(f"w{n},{n % 2}\n" for n in range(40)))
    assert main(["init", "t", "--data", "rows.csv", "--kind", "classify", "--target", "0.9"]) == 0
    assert load_task("t").data.train == "../rows.csv"
    elsewhere = str(fixtures / "banking/train.csv")
    assert main(["init", "u", "--data", elsewhere, "--kind", "classify", "--target", "0.9"]) == 0
    assert load_task("u").data.train == elsewhere
    assert sorted(path.name for path in (here / "t").iterdir()) == ["hone.yaml"]


def test_the_data_is_copied_when_asked(here, fixtures):
    data = fixtures / "banking/train.csv"
    assert main(["init", "t", "--data", str(data), "--kind", "classify", "--target", "0.9", "--copy"]) == 0
    assert load_task("t").data.train == "train.csv"
    assert (here / "t/train.csv").read_bytes() == data.read_bytes()


def test_everything_missing_is_said_at_once(here, capsys):
    said = problems(capsys, "t")
    assert [problem.split(" ")[0] for problem in said] == ["--data", "--kind"]
    assert not (here / "t").exists()


def test_a_missing_kind_comes_with_what_the_data_looks_like(here, fixtures, capsys):
    (said,) = problems(capsys, "t", "--data", fixtures / "voice/train.jsonl")
    assert 'this data looks like extract (the column "slots" holds objects or lists)' in said


def test_wrong_column_kind_metric_and_target_are_said_at_once(here, fixtures, capsys):
    data = fixtures / "banking/train.csv"
    said = problems(capsys, "t", "--data", data, "--kind", "classify", "--input", "{txt}", "--target", "1.2")
    assert said[0].startswith('--input names the column "txt", which the data has not; did you mean "text"?')
    assert said[1] == "--target: 1.2 is out of reach, accuracy is from 0 to 1"
    (said,) = problems(capsys, "t", "--data", data, "--kind", "clasify")
    assert said == '--kind "clasify" is not known; did you mean "classify"?'
    (said,) = problems(capsys, "t", "--data", data, "--kind", "classify", "--metric", "acuracy", "--target", "0.9")
    assert 'did you mean "accuracy"?' in said


def test_an_empty_and_a_missing_file(here, capsys):
    (here / "empty.csv").touch()
    (here / "train.csv").write_text("text,label\na,b\n")
    assert "holds no rows" in problems(capsys, "t", "--data", "empty.csv", "--kind", "classify")[0]
    assert 'did you mean "train.csv"?' in problems(capsys, "t", "--data", "trian.csv", "--kind", "classify")[0]


def test_too_few_rows_for_a_proposed_target(here, capsys):
    (here / "few.csv").write_text("text,label\nyes,a\n")
    words = ("--kind", "classify", "--input", "text", "--output", "label")
    assert "too few to measure a baseline" in problems(capsys, "t", "--data", "few.csv", *words)[0]


def test_nothing_is_overwritten_without_force_and_the_change_is_shown(here, fixtures, capsys):
    words = ["init", "t", "--data", str(fixtures / "banking/train.csv"), "--kind", "classify"]
    assert main([*words, "--target", "0.9"]) == 0
    before = (here / "t/hone.yaml").read_text()
    assert main([*words, "--target", "0.9"]) == 0, "the same again changes nothing"
    capsys.readouterr()
    assert main([*words, "--target", "0.8"]) == 2
    said = capsys.readouterr().err
    assert "-target: 0.9" in said
    assert "+target: 0.8" in said
    assert (here / "t/hone.yaml").read_text() == before
    assert main([*words, "--target", "0.8", "--force"]) == 0
    assert load_task("t").target == 0.8


def test_names_and_columns_that_yaml_would_misread(here, capsys):
    header = '"on","the answer #","no: {x}"\n'
    (here / "rows #1.csv").write_text(header + "".join(f'"w {n}","{n % 2}","z"\n' for n in range(40)))
    words = ["--data", "rows #1.csv", "--kind", "extract", "--input", "on", "--target", "0.5"]
    assert main(["init", "on", *words]) == 0
    task = load_task("on")
    assert task.name == "on"
    assert task.data.train == "../rows #1.csv"
    assert task.output == {"the answer #": "{the answer #}"}
    assert "a template cannot name them: no: {x}" in capsys.readouterr().err


def test_the_example_is_whole_and_can_be_repeated(here, capsys):
    assert main(["init", "--example", "voice"]) == 0
    assert load_task("voice").name == "voice"
    assert (here / "voice/LICENSE").exists()
    assert main(["init", "voice", "--example", "voice", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["example"] == "voice"
    (here / "voice/hone.yaml").write_text("task: mine\n")
    assert main(["init", "voice", "--example", "voice"]) == 2
    assert (here / "voice/hone.yaml").read_text() == "task: mine\n"


def test_an_unknown_example_and_options_that_it_does_not_take(here, capsys):
    assert problems(capsys, "--example", "voic") == ['there is no example "voic"; did you mean "voice"?']
    assert "leave out --kind" in problems(capsys, "--example", "voice", "--kind", "extract")[0]


def test_on_a_terminal_the_missing_is_asked_and_enter_takes_the_proposal(here, fixtures, monkeypatch):
    asked = []

    def answer(question):
        asked.append(question)
        return "0.77" if question.startswith("target") else ""

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert main(["init", "t", "--data", str(fixtures / "banking/train.csv")]) == 0
    task = load_task("t")
    assert (task.kind, task.output, task.target) == ("classify", "{category}", 0.77)
    assert [question.split(" ")[0] for question in asked] == ["kind", "output", "input", "target"]


def test_bad_rows_are_counted_named_and_dropped_by_the_task_that_is_written(here, capsys):
    """A line that is no JSON and a row without the answer: without `bad_rows: drop` the task would be refused."""
    lines = [json.dumps({"text": f"{'how' if n % 2 else 'when'} is row {n}", "label": n % 2}) for n in range(40)]
    lines[3], lines[7] = '{"text": "cut', json.dumps({"text": "no answer"})
    (here / "rows.jsonl").write_text("\n".join(lines) + "\n")
    words = ["--data", "rows.jsonl", "--kind", "classify", "--input", "text", "--output", "label", "--target", "0.9"]
    assert main(["init", "t", *words]) == 0
    said = capsys.readouterr().err
    assert "bad_rows: drop (2 of 40 rows cannot be used: left out, where error would refuse)" in said
    assert "rows.jsonl:4" in said
    assert "rows.jsonl:8" in said
    assert load_task("t").data.bad_rows == "drop"
    assert main(["clean", "t", "--dry-run"]) == 0
    (here / "rows.jsonl").write_text("\n".join(lines[8:]) + "\n")
    assert main(["init", "good", *words]) == 0
    assert "bad_rows" not in (here / "good/hone.yaml").read_text()


def test_a_database_file_is_named_with_all_of_its_path(here, monkeypatch, capsys):
    pytest.importorskip("sqlalchemy")
    import sqlite3

    with sqlite3.connect(here / "t.db") as db:
        db.execute("CREATE TABLE rows (text, label)")
        db.executemany("INSERT INTO rows VALUES (?, ?)", [(f"row number {n}", "ab"[n % 2]) for n in range(60)])
    source = "sqlite:///t.db::SELECT text, label FROM rows"
    assert main(["init", "t", "--data", source, "--kind", "classify", "--target", "0.9"]) == 0
    monkeypatch.chdir(here / "t")  # another folder than the one it was made from
    assert main(["clean", ".", "--dry-run"]) == 0
    assert f"sqlite:///{here / 't.db'}::SELECT" in load_task(".").data.train


def test_rows_of_several_answers_are_proposed_as_conversations(here, capsys):
    turns = [["human", "it is {}"], ["gpt", "so it is"], ["human", "and now"], ["gpt", "still {}"]]
    rows = [{"conversations": [{"from": who, "value": text.format(n)} for who, text in turns]} for n in range(60)]
    (here / "talk.json").write_text(json.dumps(rows))
    assert main(["init", "talk", "--data", "talk.json", "--yes"]) == 0
    task = load_task("talk")
    assert (task.kind, task.conversation, task.supervise) == ("generate", "{messages}", ("assistant",))
    assert (task.input, task.output) == (None, None)
    assert "60 of 60 rows with several answers; each answer is learned" in capsys.readouterr().err
    single = [{"conversations": row["conversations"][:2]} for row in rows]
    (here / "one.json").write_text(json.dumps(single))
    assert main(["init", "one", "--data", "one.json", "--yes"]) == 0
    assert (load_task("one").conversation, load_task("one").input) == (None, "{prompt}")


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        ("multi-label", [["billing"], [], ["billing", "login"], ["login"]]),
        ("tag", [[{"type": "city", "text": "Oslo"}], [], [{"type": "city", "start": 0, "end": 4}], []]),
    ],
)
def test_lists_of_labels_and_entities_are_found_and_their_kind_is_named(here, capsys, kind, answers):
    lines = [json.dumps({"text": f"Oslo or Lima {n}", "topics": answers[n % 4]}) for n in range(80)]
    (here / "rows.jsonl").write_text("\n".join(lines))
    assert main(["init", "t", "--data", "rows.jsonl", "--kind", kind, "--target", "0.5"]) == 0
    task = load_task("t")
    assert (task.kind, task.input, task.output) == (kind, "{text}", "{topics}")
    (said,) = problems(capsys, "u", "--data", "rows.jsonl", "--target", "0.5")
    assert f"this data looks like {kind}" in said
    assert main(["init", "v", "--data", "rows.jsonl", "--target", "0.5", "--yes"]) == 0
    assert load_task("v").kind == kind
    (said,) = problems(
        capsys, "u", "--data", "rows.jsonl", "--kind", {"tag": "multi-label", "multi-label": "tag"}[kind]
    )
    assert "no column holds lists of" in said


def test_lists_whose_items_do_not_recur_are_no_labels(here):
    rows = [{"text": f"Take {n} and {n + 1}.", "found": [f"item {n}", f"item {n + 1000}"]} for n in range(60)]
    (here / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["init", "t", "--data", "rows.jsonl", "--target", "0.5", "--yes"]) == 0
    assert load_task("t").kind == "extract"


@pytest.mark.parametrize("exported", [True, False])
def test_a_budget_is_written_where_an_artifact_can_be_held_to_it(here, monkeypatch, capsys, exported):
    """Without one only the context of the device has an effect, and `hone solve` refuses the task."""

    def check(task):
        if not exported:
            raise InputError("no runtime")

    monkeypatch.setattr("hone.cli.foreseeing.check_can_be_exported", check)
    rows = [{"text": f"text {n}", "topics": [["a"], ["b"], ["a", "b"]][n % 3]} for n in range(60)]
    (here / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["init", "t", "--data", "rows.jsonl", "--yes"]) == 0
    device, text = load_task("t").device, (here / "t/hone.yaml").read_text()
    assert device.ms_per_token is None, "an encoder answers in one pass"
    assert (device != Device(context=device.context)) == exported
    assert ("hone solve" in text) == ("budget" in text) == exported
    assert ("then hone solve t" in capsys.readouterr().out) == exported
    base = next(line for line in text.splitlines() if line.startswith("base:"))
    named = re.findall(r"bert-\w+", base)
    assert named
    assert set(named) <= set(ENCODER_PRESETS)


def numbered(count, labels=2):
    """Rows of different texts whose labels follow from them."""
    return "text,label\n" + "".join(f"{'abc'[n % labels]} is row {n},{n % labels}\n" for n in range(count))


@pytest.mark.parametrize("count", [12, 28, 80, 240])
def test_what_is_announced_comes_out_and_a_proposed_target_can_be_proven_by_it(here, capsys, count):
    (here / "rows.csv").write_text(numbered(count))
    assert main(["init", "t", "--data", "rows.csv", "--yes"]) == 0
    said = capsys.readouterr().err
    version = prepare(load_task("t"), here / "t", here / "cache", lambda line: None)
    assert abs(len(version.dev) - load_task("t").data.dev * (count - version.test.n)) <= 1
    assert abs(version.test.n - TEST_SHARE * count) <= 0.5
    for split, rows in (("dev", len(version.dev)), ("test", version.test.n)):
        announced = next(line for line in said.splitlines() if line.startswith(f"{split}:"))
        assert announced.rstrip(")").endswith(f": {rows} row{'s' * (rows > 1)}")
        assert wilson(rows, rows)[0] >= load_task("t").target
    assert "cannot be proven" not in said


def test_a_given_target_that_the_rows_cannot_prove_is_taken_with_a_warning(here, capsys):
    (here / "rows.csv").write_text(numbered(80))
    assert main(["init", "t", "--data", "rows.csv", "--yes", "--target", "0.86"]) == 0
    assert load_task("t").target == 0.86
    warning = "8 of 8 test rows right give 0.676; 24 rows of dev and of test are needed"
    said = capsys.readouterr()
    assert warning in said.err
    assert "hone.yaml is written, with 1 warning; next:" in said.out
    assert main(["check", "t"]) == 0
    said = capsys.readouterr().out
    assert warning in said
    assert "t: right, but for the target." in said


def test_the_file_names_every_rule_by_which_rows_of_its_kind_leave(here):
    """And says so of none that is not in the preset."""
    (here / "rows.csv").write_text(numbered(60))
    words = {"empty": "empty rows", "duplicate": "folded duplicates", "equals-test-row": "rows of the test"}
    words |= {"disclaimer": "disclaimer"}
    for kind in ("classify", "generate", "language-model"):
        inputs = [] if kind == "language-model" else ["--input", "text"]
        output = "text" if kind == "language-model" else "label"
        rest = ["--output", output, "--target", "0.4", "--kind", kind, *inputs]
        assert main(["init", kind, "--data", "rows.csv", *rest]) == 0
        text = " ".join((here / kind / "hone.yaml").read_text().replace("\n#", "").split())
        rules = {rule.name for rule in preset("task", kind).rules} - {"equals-dev-row"}
        assert {name for name, said in words.items() if said in text} == rules


def test_rows_that_leave_are_counted_by_rule(here, capsys):
    rows = [{"question": f"who is {n}", "answer": f"somebody {n}"} for n in range(60)]
    rows[3]["answer"] = "As an AI language model I know nobody."
    rows.append(rows[0])
    (here / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["init", "t", "--data", "rows.jsonl", "--kind", "generate", "--target", "0.1"]) == 0
    said = capsys.readouterr().err
    assert "clean: 2 of 61 rows leave: " in said
    assert "disclaimer 1" in said


def test_a_target_that_is_no_number_stands_with_the_other_problems(here, fixtures, capsys):
    found = problems(capsys, "t", "--data", fixtures / "banking/train.csv", "--kind", "clasify", "--target", "high")
    assert [problem.split()[0].strip(":") for problem in found] == ["--target", "--kind"]


def test_broken_lines_are_mentioned_beside_other_problems(here, capsys):
    (here / "bad.jsonl").write_text('{"text": "one", "label": "a"}\n{"text": \n')
    found = problems(capsys, "t", "--data", "bad.jsonl", "--kind", "clasify")
    assert len(found) == 2
    assert "bad.jsonl:2" in found[1]


def test_kind_metric_and_target_that_are_wrong_are_named_at_once(here, fixtures, capsys):
    data = ["--data", fixtures / "banking/train.csv"]
    found = problems(capsys, "t", *data, "--kind", "clasify", "--metric", "acurracy", "--target", "5")
    assert [problem.split()[0].strip(":") for problem in found] == ["--kind", "--metric", "--target"]
    assert all("did you mean" in problem for problem in found)


def test_data_that_cannot_be_read_is_the_only_problem_of_data(here, capsys):
    found = problems(capsys, "t", "--data", "nosuch.csv")
    assert len(found) == 1
    assert "nosuch.csv" in found[0]


def test_rows_that_cannot_be_used_are_named_where_too_few_are_left(here, capsys):
    (here / "bad.jsonl").write_text('{"text": "one", "label": "a"}\n{"text": \n{"text": "three"}\n')
    words = ["--kind", "classify", "--input", "text", "--output", "label"]
    found = problems(capsys, "t", "--data", "bad.jsonl", *words)
    assert "1 different row is too few" in found[0]
    assert [any(f"bad.jsonl:{line}" in problem for problem in found) for line in (2, 3)] == [True, True]
