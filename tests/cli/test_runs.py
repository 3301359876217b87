from __future__ import annotations

import json
import subprocess
import sys

import pytest

from hone.cli import main
from hone.lab.lab import Lab
from hone.task.recipe import Recipe
from hone.task.scores import Score


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A task folder with two finished runs, an artifact and a reading; the working directory is its parent."""
    folder = tmp_path / "voice"
    lab = Lab(folder)
    for name, mean, parent, batch_size in [("default", 0.70, None, 32), ("wider", 0.80, 1, 64)]:
        run = lab.new_run(
            Recipe(batch_size=batch_size), "task0", "data0", parent, "more rows help" if parent else "", name=name,
            metric="field_f1",
        )  # fmt: skip
        run.log(1600, loss=0.1)
        score = Score(name="field_f1", mean=mean, low=mean - 0.02, high=mean + 0.02, n=700)
        run.finish({"scores": [score]})
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / "voice.gguf").write_bytes(b"GGUF")
    lab.record_artifact(folder / "artifacts" / "voice.gguf", 2, certificate={"status": "certified"})
    lab.record_test_reading("the verdict")
    monkeypatch.chdir(tmp_path)
    return folder


def run_json(capsys, *words):
    assert main(["runs", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_list_shows_every_run_aligned_with_the_best_marked(folder, capsys):
    assert main(["runs", "list", "voice"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["run", "status", "step", "dev", "field_f1", "parent", "change", "effect", "hypothesis"]
    assert first.startswith("0001-default  ")
    assert "finished  1,600  0.700 [0.680, 0.720]" in first
    assert second.startswith("0002-wider *  ")
    assert second.endswith("1       batch_size 32 -> 64  +0.100 better  more rows help")


def test_list_is_what_happens_without_a_word(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert main(["runs"]) == 0
    assert "0002-wider *" in capsys.readouterr().out


def test_an_interrupted_run_names_the_step_of_the_state_that_it_goes_on_from(folder, capsys):
    run = Lab(folder).new_run(Recipe(), "task0", "data0", name="cut")
    for step in (80, 90):
        run.log(step, loss=0.1)
    (run.checkpoints / "step-00000070").mkdir(parents=True)
    (run.checkpoints / "step-00000080").mkdir()
    (run.checkpoints / ".part-step-00000090-1").mkdir()  # half written
    run.stop("interrupted", "SystemExit")
    assert main(["runs", "list", "voice"]) == 0
    assert "interrupted  90, goes on from 80" in capsys.readouterr().out
    assert run_json(capsys, "list", "voice")["runs"][2]["goes_on_from"] == 80
    assert main(["runs", "show", "3", "voice"]) == 0
    assert "interrupted (SystemExit), step 90, goes on from 80" in capsys.readouterr().out
    (run.checkpoints / "step-00000090").mkdir()
    assert main(["runs", "list", "voice"]) == 0
    assert "goes on from" not in capsys.readouterr().out


def test_the_json_document_is_the_last_line(folder, capsys):
    document = run_json(capsys, "list", "voice")
    assert [row["name"] for row in document["runs"]] == ["default", "wider"]
    assert document["best"] == 2
    assert document["runs"][1]["scores"]["field_f1"]["low"] == pytest.approx(0.78)


def test_quiet_with_json_prints_the_document_alone(folder, capsys):
    assert main(["runs", "tree", "voice", "--json", "--quiet"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["data"]["data0"][0]["children"][0]["number"] == 2


def test_show_takes_the_best_without_a_run(folder, capsys):
    document = run_json(capsys, "show", "voice")
    assert document["run"]["number"] == 2
    assert document["recipe"]["batch_size"] == 64
    assert document["verdict"]["verdict"] == "better"
    assert document["artifacts"][0]["status"] == "certified"
    assert main(["runs", "show", "1", "voice"]) == 0
    printed = capsys.readouterr().out
    assert "0001-default" in printed
    assert "hypothesis" not in printed  # lines without content are left out


def test_compare_shows_the_difference_with_its_interval(folder, capsys):
    document = run_json(capsys, "compare", "default", "2", "voice")
    assert document["recipe"] == {"batch_size": [32, 64]}
    assert main(["runs", "compare", "1", "wider", "voice"]) == 0
    printed = capsys.readouterr().out
    assert ["batch_size", "32", "64"] in [line.split() for line in printed.splitlines()]
    assert "+0.100 [+0.072, +0.128] better" in printed


def test_the_tree_goes_from_data_to_artifact_and_names_readings(folder, capsys):
    assert main(["runs", "tree", "voice"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "data data0"
    assert lines[1].startswith("  0001-default")
    assert lines[2].startswith("    0002-wider")
    assert lines[3].startswith("      artifact ")
    assert lines[3].endswith("artifacts/voice.gguf  4 bytes  certified")
    assert lines[4] == "test split: read once"
    assert lines[5].endswith("the verdict")


def test_reindex_tells_how_much_there_is(folder, capsys):
    (folder / ".hone" / "index.db").unlink()
    document = run_json(capsys, "--reindex", "voice")
    assert document["reindexed"] == {
        "runs": 2, "scores": 2, "artifacts": 1, "test_readings": 1, "edges": 4, "sources": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["shwo", "voice"], '"shwo" is neither a task folder nor what to do; did you mean "show"?'),
        (["show", "1", "2", "voice"], 'hone runs show takes 1 RUN; "2" is too much'),
        (["compare", "1", "voice"], "takes two or more RUNs; got 1"),
        (["show", "widr", "voice"], 'did you mean "wider"?'),
    ],
)
def test_wrong_words_are_named_with_the_nearest_and_exit_2(folder, capsys, words, message):
    assert main(["runs", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_runs_says_how_to_start_and_is_left_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["runs"]) == 0
    assert "start one with hone solve or hone train" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_the_verb_needs_no_torch(folder):
    script = (
        "import sys\nfrom hone.cli import main\nassert main(['runs', 'list', 'voice']) == 0\n"
        "print(sorted({'torch', 'transformers', 'pyarrow'} & set(sys.modules)))\n"
    )
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert child.stdout.splitlines()[-1] == "[]"
