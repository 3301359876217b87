"""``hone export`` and ``hone bench``: what is asked for, what is foreseen, what is made and measured again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hone.cli import main
from hone.cli.bench import disturbed
from hone.cli.places import artifact_of
from hone.deploy.certificate.document import told_score
from hone.errors import InputError
from hone.lab import artifacts
from hone.solving.exporting import check_places, formats_asked

VOICE = Path(__file__).resolve().parent.parent / "data" / "voice"


def last(capsys) -> Any:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_formats_follow_runtimes_and_runtimes_follow_formats():
    assert formats_asked() == ["q8_0"]
    assert formats_asked(["gguf", "onnx"]) == ["q8_0", "int8"]
    assert formats_asked([], ["int4", "Q4_0"]) == ["int4", "q4_0"]
    assert formats_asked(["onnx"], ["fp16", "int4"]) == ["fp16", "int4"]


def test_everything_wrong_with_what_is_asked_for_is_said_at_once():
    with pytest.raises(InputError) as caught:
        formats_asked(["ggfu", "onnx"], ["q8_0", "q9"])
    assert len(caught.value.problems) == 4
    assert 'did you mean "gguf"' in caught.value.problems[0]
    assert 'weight format "q9" is not known' in caught.value.problems[1]
    assert "q8_0 is a format of gguf; --to names ggfu, onnx" in caught.value.problems[2]
    assert (
        "none of --weights is a format of onnx; it has fp32, fp16, int8, int4-g16, int4, int4-g64, int4-g128"
        in caught.value.problems[3]
    )


def test_a_dry_run_says_sizes_and_refusals_and_writes_nothing(make, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = make("extract")
    folder, before = file.parent, sorted(file.parent.iterdir())
    assert main(["export", str(folder), "--weights", "f32,q8_0", "--dry-run", "--json"]) == 0
    whole, small = last(capsys)["artifacts"]
    assert whole["refusals"] == small["refusals"] == []
    assert whole["size_mb"] * 1e6 == pytest.approx(file.stat().st_size, rel=0.05)
    assert small["size_mb"] < whole["size_mb"]
    assert main(["export", str(folder), "--weights", "q4_k_m", "--dry-run", "--json"]) == 2
    said = capsys.readouterr().out
    assert "rows of 32 weights do not divide by the 256" in said
    (refused,) = json.loads(said.splitlines()[-1])["artifacts"]
    assert (refused["size_mb"], refused["artifact"]) == (None, None)
    assert " MB " not in said.splitlines()[0]
    assert main(["export", str(folder), "--weights", "q4_k_m,q6_k", "--json"]) == 2
    problems = last(capsys)["error"]["problems"]
    assert {line.split(":")[0] for line in problems} == {"gguf q4_k_m", "gguf q6_k"}
    assert sorted(folder.iterdir()) == before
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_its_task_is_not_certified_in_full(make, capsys):
    folder = str(make("extract").parent)
    assert main(["export", folder, "7", "--size", "full"]) == 2
    said = capsys.readouterr().err
    assert "one model at a time, please" in said
    assert "--size full scores all of dev" in said


def test_a_task_without_runs_says_how_to_start(tmp_path, capsys):
    (tmp_path / "hone.yaml").write_text((VOICE / "hone.yaml").read_text())
    assert main(["export", str(tmp_path)]) == 2
    assert "start one with: hone solve" in capsys.readouterr().err


def test_bench_names_every_word_that_is_no_artifact(tmp_path, capsys):
    assert main(["bench", str(tmp_path / "a.gguf"), str(tmp_path / "b.onnx")]) == 2
    said = capsys.readouterr().err
    assert "a.gguf" in said
    assert "b.onnx" in said


@pytest.mark.slow
def test_a_run_is_exported_for_both_runtimes_recorded_and_measured_again(tmp_path, capsys):
    pytest.importorskip("xllamacpp")
    pytest.importorskip("onnxruntime")
    import hone

    folder = tmp_path / "voice"
    shutil.copytree(VOICE, folder)
    recipe = hone.Recipe(base="scratch:tiny", vocab_size=300, steps=4, eval_every=4, warmup_steps=1, batch_size=4)
    hone.attempt(folder, recipe)
    assert main(["export", str(folder), "--weights", "f32,fp32", "--json"]) == 0
    made = last(capsys)["artifacts"]
    names = ["voice-run0001-gguf-f32", "voice-run0001-onnx-fp32"]
    assert [Path(one["artifact"]).name for one in made] == names
    assert {one["certificate"]["status"] for one in made} == {"certified"}
    assert all(one["certificate"]["score"]["name"] == "field_f1" for one in made)
    recorded = hone.Lab(folder).artifacts()
    assert [item.path for item in recorded] == [f"artifacts/{name}" for name in names]
    for word in (folder, made[0]["artifact"], f"{made[1]['artifact']}/model.onnx"):
        assert main(["prompt", str(word), "play some jazz", "--json", "--quiet"]) == 0
        assert last(capsys)["input"] == "play some jazz"
    schema = json.loads((folder / "artifacts" / names[0] / "hone.json").read_text())["schema"]
    assert set(schema["properties"]) == {"intent", "slots"}

    assert main(["bench", str(folder), "--json"]) == 0
    found = last(capsys)
    assert [Path(one["artifact"]).name for one in found["artifacts"]] == names
    assert all(one["failures"] == [] for one in found["artifacts"])
    # Their run lies beside them, so they are compared anew and nothing is carried over.
    assert {one["certificate"]["status"] for one in found["artifacts"]} == {"certified"}
    assert all("compared_at" not in one["certificate"] for one in found["artifacts"])
    page = Path(found["page"]).read_text()
    assert page.count('class="plot"') == 2
    assert all(name in page for name in names)
    # Measuring again changes what is said of an artifact, and not what it is.
    from hone.lab.artifacts import changed

    assert [changed(item, folder) for item in recorded] == ["", ""]
    listed = [(item.path, item.again, item.run) for item in hone.Lab(folder).artifacts()]
    assert listed == [(f"artifacts/{name}", True, 1) for name in names]

    with (folder / "artifacts" / names[1] / "model.onnx").open("ab") as file:
        file.write(b"x")
    assert main(["bench", str(folder), "--keep"]) == 3
    assert "was not measured: " in capsys.readouterr().out


def test_a_place_that_cannot_be_written_to_is_wrong_input_before_anything_is_computed(make, capsys, tmp_path):
    file = make("extract")
    beside = tmp_path / "taken.txt"
    beside.write_text("mine")
    for out in (beside, beside / "below"):
        assert main(["export", str(file.parent), "--out", str(out), "--json"]) == 2
        assert f"nothing can be written to {out}" in last(capsys)["error"]["problems"][0]
    assert beside.read_text() == "mine"
    check_places([tmp_path / "new" / "place"])
    assert not (tmp_path / "new").exists()


def test_a_file_that_is_not_there_is_said_to_be_missing(capsys, tmp_path):
    missing = tmp_path / "gone.bin"
    assert main(["export", str(missing), "--json"]) == 2
    assert last(capsys)["error"]["problems"] == [
        f"{missing} does not exist, so there is no model of llama2.c to export"
    ]


def test_a_score_is_told_with_its_rows_and_what_the_original_scores_on_them():
    """A quick certificate's 0.893 beside a run's 0.928 on all of dev is no loss by the export."""
    score = {"name": "field_f1", "mean": 0.893, "low": 0.845, "high": 0.936, "n": 64}
    told = told_score({"score": score, "compared": {"original": {"mean": 0.897}}})
    assert told == "0.893 [0.845, 0.936] on 64 rows, the original 0.897"
    assert told_score({"score": score, "compared": None}) == "0.893 [0.845, 0.936] on 64 rows"
    assert told_score({"score": None, "compared": None}) == ""


def test_a_task_folder_means_its_certified_artifact_before_a_later_one_that_is_not(tmp_path):
    (tmp_path / "hone.yaml").write_text((VOICE / "hone.yaml").read_text())
    ledger, statuses = (
        tmp_path / "artifacts" / "artifacts.jsonl",
        ("certified", "certified", "converted", None, "broken"),
    )
    paths = [tmp_path / "artifacts" / f"{place}.gguf" for place in range(len(statuses))]
    ledger.parent.mkdir()
    for path, status in zip(paths, statuses, strict=True):
        path.write_bytes(b"x")
        if status is not None:
            text = '{"status": ' if status == "broken" else json.dumps({"status": status})
            path.with_name(f"{path.name}.certificate.json").write_text(text)
        artifacts.record(ledger, tmp_path, path, run=1, checkpoint="", certificate={"status": status or "converted"})
    assert artifact_of(tmp_path) == paths[1]
    (tmp_path / "result.json").write_text(json.dumps({"artifact": "artifacts/0.gguf"}))
    assert artifact_of(tmp_path) == paths[0], "that of the last verdict, while it is certified"
    (tmp_path / "result.json").write_text(json.dumps({"artifact": "artifacts/2.gguf"}))
    assert artifact_of(tmp_path) == paths[1]
    for path in paths[:2]:
        path.with_name(f"{path.name}.certificate.json").unlink()
    assert artifact_of(tmp_path) == paths[2], "where none is certified, that of the verdict again; its use says so"


def test_bench_says_when_the_machine_was_busy() -> None:
    assert disturbed([1.0, 1.1, 1.05]) == []
    (line,) = disturbed([1.0, 1.5])
    assert "the machine was busy: a fixed piece of work took 50% longer" in line
