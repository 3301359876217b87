"""check, prompt, export, train, serve and doctor as a new user types them; nothing is trained here."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys

import pytest

from hone.cli import main
from hone.cli.solve import verdict_lines


@pytest.fixture
def folder(tmp_path, monkeypatch, fixtures):
    """A copy of the small banking task; the working directory is its parent."""
    shutil.copytree(fixtures / "banking", tmp_path / "banking")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "banking"


def change(folder, old, new):
    path = folder / "hone.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def said(capsys, *words):
    assert main(list(words)) == 2
    return capsys.readouterr().err


def test_check_prints_what_it_found_and_the_document_last(folder, capsys):
    assert main(["check", "banking", "--json"]) == 0
    written = capsys.readouterr()
    document = json.loads(written.out)
    assert len(document["labels"]) == 8
    assert document["counts"]["test"] == 80
    assert "memory" in written.err
    assert "next: hone solve banking" in written.err


def test_check_names_a_label_that_only_the_test_has(folder, capsys):
    with (folder / "test.csv").open("a") as handle:
        handle.write("What is the meaning of life?,philosophy\n")
    assert main(["check", "banking"]) == 0
    assert 'labels that only test has, so no model can learn them: 1 ("philosophy")' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("target:", "taget:", 'unknown key "taget"; did you mean "target"?'),
        ("target: 0.80", "target: 1.2", "1.2 is out of reach, accuracy is from 0 to 1"),
        ('"{text}"', '"{txt}"', 'did you mean "text"?'),
        ("train.csv", "trian.csv", 'did you mean "train.csv"?'),
    ],
)
def test_check_says_what_is_wrong_and_where(folder, capsys, old, new, sentence):
    change(folder, old, new)
    assert sentence in said(capsys, "check", "banking")


def test_check_of_an_empty_file(folder, capsys):
    (folder / "train.csv").write_text("")
    assert "holds no rows" in said(capsys, "check", "banking")


@pytest.mark.parametrize("verb", ["check", "solve", "train", "prompt", "serve"])
def test_a_folder_that_is_not_there_names_the_nearest(folder, capsys, verb):
    words = [verb, "./bankin"] if verb != "prompt" else [verb, "./bankin", "hello"]
    assert 'did you mean "banking"?' in said(capsys, *words)


def test_a_folder_that_is_no_task_folder_names_those_in_it(folder, capsys):
    assert "task folders in it: banking" in said(capsys, "check")


@pytest.mark.parametrize("words", [["prompt", "banking", "hello"], ["serve", "banking"], ["export", "banking"]])
def test_without_a_model_the_next_step_is_said(folder, capsys, words):
    assert "hone solve" in said(capsys, *words)


def test_export_refuses_unknown_runtimes_and_weights_before_computing(folder, capsys):
    assert '"onx" is not a runtime' in said(capsys, "export", "banking", "--to", "onx")
    assert 'did you mean "q8_0"?' in said(capsys, "export", "banking", "--weights", "q8")


def test_train_refuses_wrong_changes_at_once(folder, capsys):
    text = said(capsys, "train", "banking", "--set", "foo", "--set", "steps=1", "--set", "steps=2")
    assert "expected KEY=VALUE" in text
    assert "steps stands twice" in text
    assert 'did you mean "learning_rate"?' in said(capsys, "train", "banking", "--set", "learnin_rate=1e-3")


def test_solve_refuses_an_empty_box(folder, capsys):
    assert "--minutes: expected minutes above 0" in said(capsys, "solve", "banking", "--minutes", "0")


def test_prompt_answers_with_probabilities_in_a_task_of_labels(folder, capsys, make):
    artifact = make("classify", labels=("play", "rate"))
    assert main(["prompt", str(artifact), "play", "a", "song", "--json", "--quiet"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["input"] == "play a song"
    assert document["answer"] in ("play", "rate")
    assert sum(document["probabilities"].values()) == pytest.approx(1)
    assert max(document["probabilities"], key=document["probabilities"].get) == document["answer"]


def test_prompt_reads_lines_and_goes_on_after_a_wrong_one(folder, capsys, monkeypatch, make):
    artifact = make("classify", labels=("play", "rate"))
    monkeypatch.setattr("sys.stdin", io.StringIO("a song\n" + "paris " * 100 + "\n\nparis\n"))
    assert main(["prompt", str(artifact), "--json"]) == 0
    written = capsys.readouterr()
    assert [json.loads(line)["input"] for line in written.out.splitlines()] == ["a song", "paris"]
    assert "the model takes 48" in written.err


def test_prompt_says_when_the_answer_is_not_of_the_tasks_form(folder, capsys, make):
    assert main(["prompt", str(make("extract")), "play a song", "--max-tokens", "2"]) == 0
    assert "not of the task's form" in capsys.readouterr().err


def test_an_empty_prompt_is_refused_where_the_model_does_not_continue_text(folder, capsys, make):
    assert "the prompt is empty" in said(capsys, "prompt", str(make("extract")), "")
    words = ["prompt", str(make("language-model", template=None)), "", "--json", "--max-tokens", "2"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["input"] == ""


def test_a_word_that_is_no_model_is_said_to_be_part_of_the_prompt(folder, capsys, monkeypatch, make):
    artifact = make("extract")
    (folder / "artifacts").mkdir()
    shutil.copyfile(artifact, folder / "artifacts" / "banking-f32.gguf")
    monkeypatch.setattr("hone.cli.places.artifact_of", lambda folder: artifact)
    monkeypatch.chdir(folder)
    (folder / "voice").mkdir()
    (folder / "voice" / "hone.yaml").write_text("task: voice")
    for words, hint in ((["voce", "play"], '; did you mean "voice"?'), (["nothere", "play a song"], "")):
        assert main(["prompt", *words, "--json"]) == 0
        written = capsys.readouterr()
        assert (
            f'note: "{words[0]}" names no folder, artifact or run here, so that it is part of the prompt{hint}\n'
            in (written.err)
        )
        assert json.loads(written.out)["input"] == " ".join(words)
    for words in (["play a song"], ["please", "play", "a", "song"]):
        assert main(["prompt", *words, "--json"]) == 0
        assert "note:" not in capsys.readouterr().err.replace("note: the model's answer", "")
    two = said(capsys, "prompt", str(artifact), "artifacts/banking-f32.gguf", "play")
    assert f"one model is asked at a time; {artifact} and artifacts/banking-f32.gguf are models" in two


def test_export_says_what_a_word_is_that_it_cannot_export(folder, capsys, make):
    artifact = make("extract")
    assert "is an artifact already" in said(capsys, "export", str(artifact))
    assert "./gone does not exist" in said(capsys, "export", "./gone")
    (folder.parent / "stories").mkdir()
    (folder.parent / "stories" / "stories260K.bin").write_bytes(b"x")
    assert "name its file of llama2.c: stories/stories260K.bin" in said(capsys, "export", "stories")
    empty = said(capsys, "export", "banking", "--weights", "", "--to", " ,")
    assert "--to is empty" in empty
    assert "--weights is empty" in empty


def test_prompt_of_several_columns_takes_an_object(folder, capsys, make):
    artifact = str(make("generate", template="{text} in {place}"))
    assert '{"text": "...", "place": "..."}' in said(capsys, "prompt", artifact, "play")
    given = json.dumps({"text": "play", "place": "paris"})
    assert main(["prompt", artifact, given, "--json"]) == 0


def test_prompt_refuses_an_artifact_that_renders_differently(folder, capsys, make):
    artifact = make("generate", spoil=True)
    assert main(["prompt", str(artifact), "play"]) == 3
    assert "row train.csv:1: id 0 is" in capsys.readouterr().err


def test_prompt_refuses_options_that_would_do_nothing(folder, capsys, make):
    text = said(capsys, "prompt", "banking", "x", "--top-k", "3")
    assert "change nothing at --temperature 0" in text


def test_a_text_without_a_model_says_what_is_missing(folder, capsys):
    assert "neither a task folder, an artifact nor a run" in said(capsys, "prompt", "hello there")


def test_doctor_names_the_machine_and_the_versions(folder, capsys):
    pytest.importorskip("torch")
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["missing"] == []
    assert document["device"] in ("cpu", "cuda", "mps")
    assert document["machine"]["cores"] >= 1


def test_the_last_lines_say_where_the_model_is_and_how_to_try_it(tmp_path):
    result = {
        "solved": True, "metric": "accuracy", "target": 0.8, "score": 0.9, "low": 0.85, "high": 0.94, "test_score": 0.9,
        "test_low": 0.83, "test_high": 0.95, "test_n": 80, "seconds": 61.2, "advice": ["more rows"], "run": 1,
        "artifact": "artifacts/banking-q8_0.gguf", "within_budget": True, "parity": {"status": "certified"},
        "size_mb": 1.05, "ram_mb": 50.7, "interpreter_mb": 31.0, "first_token_ms": 3.3, "ms_per_token": 0.2,
    }  # fmt: skip
    lines = verdict_lines(result, tmp_path / "my task")
    assert lines[0].startswith("solved: accuracy 0.900 [0.850, 0.940] on dev, 0.900 [0.830, 0.950] on the sealed test")
    assert "artifacts/banking-q8_0.gguf (certified, within the device's budget" in lines[2]
    assert lines[3].startswith(f"try it: hone prompt '{tmp_path}/my task' ")
    assert lines[4] == f"serve:  hone serve '{tmp_path}/my task'"
    figures = {"ram_mb": {"value": 41.0, "error": 0.3, "error_known": True, "limit": 60.0, "holds": True}}
    figures["ms_per_token"] = {"value": 0.4, "error": 1.0, "error_known": False, "limit": 0.3, "holds": False}
    elsewhere = {"device_class": "phone", "planned": {"class": "phone", "figures": figures, "not_known": []}}
    phone = verdict_lines({**result, "within_budget": None, **elsewhere}, tmp_path)
    assert "(certified, whether it keeps the budget of phone is not known; here: 1.05 MB" in phone[2]
    assert "memory 41 of 60 MB (±30%)" in phone[3]
    assert "time per token 0.4 of 0.3 ms (error not known beyond 100%, over by that)" in phone[3]
    encoder = verdict_lines({**result, "within_budget": None, "ms_per_token": None}, tmp_path)
    assert "(certified, no budget is set: 1.05 MB" in encoder[2]
    assert "3.3 ms a sequence" in encoder[2]


def test_serve_refuses_an_artifact_that_renders_differently(folder, capsys, make):
    assert main(["serve", str(make("generate", spoil=True)), "--port", "0"]) == 3
    assert "row train.csv:1: id 0 is" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_serve_ends_with_the_status_that_the_help_states(make, number, status):
    command = [sys.executable, "-m", "hone", "serve", str(make("generate")), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    assert any(line.startswith("try: ") for line in server.stderr)
    server.send_signal(number)
    said = server.communicate(timeout=60)[1]
    assert (server.returncode, "stopped serving" in said.splitlines()) == (status, True)
    assert "Traceback" not in said


def test_prompt_continues_a_text_and_the_seed_decides_what_is_sampled(folder, capsys, make):
    words = ["prompt", str(make("language-model", template=None)), "play", "--json", "--max-tokens", "8"]
    words += ["--temperature", "1.5", "--seed"]
    texts = []
    for seed in ("1", "1", "2"):
        assert main([*words, seed]) == 0
        texts.append(json.loads(capsys.readouterr().out)["text"])
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
