"""Measuring again tells what changed, keeps what needs the original, and fails where the artifact no longer does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hone.deploy.artifact import side_by_side
from hone.deploy.artifact.card import _judged
from hone.deploy.artifact.golden import golden_of
from hone.deploy.artifact.side_by_side import COLUMNS, Measured, measure_again, page_of_all, rows_of
from hone.deploy.certificate import certify as certify_room
from hone.deploy.certificate.certify import certify
from hone.deploy.certificate.recertify import _figures_changed, recertify
from hone.deploy.certificate.witness import Extent
from hone.deploy.process import FreshProcess
from hone.deploy.runtime import runtime
from hone.errors import FailedError, InputError
from hone.files import file_hash, read_json, write_json

pytest.importorskip("xllamacpp")
SMALL = Extent(positions=100, rows=8, greedy_prompts=4, greedy_tokens=8, runs=1)


@pytest.fixture
def artifact(toy, toy_witness, tmp_path, monkeypatch) -> Path:
    """A certified folder with golden vectors."""
    monkeypatch.setitem(certify_room.EXTENTS, "quick", SMALL)
    folder = tmp_path / "toy-gguf-q8_0"
    folder.mkdir()
    file = runtime("gguf").export(toy.folder, "q8_0", folder / "model.gguf")
    said = {"format": 1, "kind": "extract", "hashes": {"model": file_hash(file)}, "files": {}}
    write_json(folder / "hone.json", said)
    stored = read_json(toy.folder / "hone.json")["examples"]
    with FreshProcess(folder, threads=1, context=96) as session:
        golden = golden_of(session, toy.renderer, stored, original=None, max_new_tokens=6, tie_nats=0.1)
    write_json(folder / "golden.json", golden)
    certify(folder, toy.task.device, toy_witness).write(folder)
    return folder


def gate(certificate: dict, name: str) -> dict:
    return next(one for one in certificate["gates"] if one["name"] == name)


def test_what_needs_no_original_is_done_anew_and_the_rest_stands_and_says_so(artifact):
    before = read_json(artifact / "certificate.json")
    found = recertify(artifact, write=True)
    after = read_json(artifact / "certificate.json")
    assert found.failures == ()
    assert after["status"] == "certified"
    assert gate(after, "golden answers")["holds"]
    assert gate(after, "mean divergence") == gate(before, "mean divergence")
    assert after["parity"] == before["parity"]
    assert after["measured"] != before["measured"]
    assert "no original was at hand" in after["notes"][-1]
    again = recertify(artifact).certificate
    assert sum("no original" in note for note in again["notes"]) == 1
    assert again["compared_at"]["made"] == before["made"]
    assert "no original was at hand" in (artifact / "certificate.html").read_text()


def test_other_versions_and_other_figures_are_told(artifact):
    stored = read_json(artifact / "certificate.json")
    stored["versions"]["numpy"] = "0.1"
    stored["measured"]["size_mb"] *= 2
    write_json(artifact / "certificate.json", stored)
    changes = recertify(artifact).changes
    assert any(change.startswith("numpy: 0.1 then, ") for change in changes)
    assert any(change.startswith("size_mb: ") and "(-50%)" in change for change in changes)


def test_times_within_the_spread_of_their_runs_are_no_change(artifact):
    stored = read_json(artifact / "certificate.json")
    (own,) = [one for one in stored["times"]["by_threads"] if one["threads"] == stored["device"]["threads"]]
    own |= {"runs": [1.0, 3.0], "first_token_p50_ms": 2.0, "first_token_p95_ms": 9.0}
    stored["measured"] |= {"ms_per_token": 1.0, "first_token_ms": 2.0, "load_ms": 10.0, "ram_mb": 50.0}

    def told(ms_per_token, runs, first, load):
        fresh = json.loads(json.dumps(stored))
        (pace,) = [one for one in fresh["times"]["by_threads"] if one["threads"] == fresh["device"]["threads"]]
        pace |= {"runs": runs, "first_token_p50_ms": first, "first_token_p95_ms": 2 * first}
        fresh["measured"] |= {"ms_per_token": ms_per_token, "first_token_ms": first, "load_ms": load, "ram_mb": 60.0}
        return [line.partition(":")[0] for line in _figures_changed(stored, fresh)]

    assert told(2.5, [2.0, 2.5], 8.0, 19.0) == ["ram_mb"], "three runs of a busy machine differ as much"
    assert told(3.3, [3.1, 3.3], 9.5, 21.0) == ["ram_mb", "load_ms", "first_token_ms", "ms_per_token"]
    assert told(0.5, [0.4, 0.9], 0.9, 4.0) == ["ram_mb", "load_ms", "first_token_ms", "ms_per_token"]


def test_an_artifact_that_answers_otherwise_than_it_did_fails(artifact):
    golden = read_json(artifact / "golden.json")
    golden["texts"][2]["ids"][0] += 1
    write_json(artifact / "golden.json", golden)
    found = recertify(artifact)
    assert found.certificate["status"] == "converted"
    assert found.failures[0].startswith("it no longer gives its golden answers: the text ")


def test_another_version_of_the_runtime_is_not_certified_by_what_an_older_one_gave(artifact, toy_witness):
    stored = read_json(artifact / "certificate.json")
    write_json(artifact / "certificate.json", {**stored, "runtime": "llama.cpp of old"})

    def none_at_hand(path, size):
        raise InputError("its run is gone")

    said: list[str] = []
    found = measure_again(artifact, write=False, original=none_at_hand, say=said.append).found
    assert said == ["not compared with its original: its run is gone"]
    assert found.certificate["status"] == "contract-checked"
    assert "by llama.cpp of old and has not been compared since" in found.changes[0]
    assert "its run is gone" in found.changes[0]
    recertify(artifact, write=True)
    assert "by llama.cpp of old and has not been compared since" in (artifact / "certificate.html").read_text()
    assert "by llama.cpp of old and has not been compared since" in "\n".join(_judged(found.certificate))
    # Nor by measuring once more, when the certificate names the new version; only by the original.
    assert recertify(artifact).certificate["status"] == "contract-checked"
    compared = measure_again(artifact, write=False, original=lambda path, size: toy_witness).found
    assert compared.certificate["status"] == "certified"
    assert gate(compared.certificate, "golden answers")["holds"]


@pytest.mark.parametrize("name", ["stored examples", "finite"])
def test_what_broke_against_the_original_is_not_mended_by_a_measurement_without_it(artifact, name):
    stored = read_json(artifact / "certificate.json")
    gate(stored, name).update({"holds": False, "sentence": "it was not so"})
    write_json(artifact / "certificate.json", {**stored, "status": "converted", "failures": ["it was not so"]})
    found = recertify(artifact)
    assert found.certificate["status"] == "converted"
    assert found.failures == ("it was not so",)


def test_a_certificate_whose_divergence_is_no_number_is_shown_all_the_same(artifact):
    stored = read_json(artifact / "certificate.json")
    stored["parity"]["kld_mean"] = None
    gate(stored, "mean divergence").update({"holds": False, "sentence": "the divergence is no number"})
    write_json(artifact / "certificate.json", {**stored, "status": "converted"})
    found = Measured(path=artifact, found=recertify(artifact))
    (row,) = rows_of([found])
    assert row[COLUMNS.index("KLD")] == ""
    assert row[-1] == "converted (quick)"
    assert "the divergence is no number" in page_of_all([found])
    assert "a divergence that is no number" in "\n".join(_judged(found.found.certificate))


def test_with_the_original_everything_is_compared_anew(artifact, toy_witness):
    found = recertify(artifact, witness=toy_witness)
    assert found.failures == ()
    assert not any("no original" in note for note in found.certificate["notes"])


def test_changed_bytes_are_refused_before_anything_is_measured(artifact):
    file = artifact / "model.gguf"
    data = bytearray(file.read_bytes())
    data[-5] ^= 4
    file.write_bytes(bytes(data))
    with pytest.raises(FailedError, match="its hash differs"):
        recertify(artifact)


def test_what_was_measured_is_shown_where_nothing_of_it_can_be_written(artifact, tmp_path, monkeypatch, capsys):
    from hone.cli import main

    def refuse(path, document):
        raise FailedError(f"could not write {path}: [Errno 30] Read-only file system")

    monkeypatch.setattr(side_by_side, "write_certificate", refuse)
    before = (artifact / "certificate.json").read_bytes()
    (tmp_path / "taken").write_text("mine")
    assert main(["bench", str(artifact), "--page", str(tmp_path / "taken" / "page.html"), "--json", "--quiet"]) == 3
    said = capsys.readouterr().out.splitlines()
    assert said[1].startswith(f"{artifact.name}  q8_0 ")
    assert any("its certificate was not written anew: could not write" in line for line in said)
    assert any(line.startswith("the page was not written: ") and "--page" in line for line in said)
    document = json.loads(said[-1])
    assert (document["page"], document["written"]) == (None, False)
    assert document["artifacts"][0]["certificate"]["measured"]["size_mb"] > 0
    assert (artifact / "certificate.json").read_bytes() == before


def test_where_nothing_could_be_measured_there_is_neither_an_empty_table_nor_a_page(artifact, tmp_path, capsys):
    from hone.cli import main

    with (artifact / "model.gguf").open("ab") as file:
        file.write(b"x")
    page = tmp_path / "bench.html"
    assert main(["bench", str(artifact), "--page", str(page), "--quiet"]) == 3
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said] == [f"{artifact.name} was not measured"]
    assert not page.exists()


def test_artifacts_of_one_name_are_told_apart_by_their_folders(artifact, tmp_path):
    other = tmp_path / "elsewhere" / artifact.name
    shutil.copytree(artifact, other)
    found = [Measured(path=path, found=recertify(path)) for path in (artifact, other)]
    names = [f"{path.parent.name}/{path.name}" for path in (artifact, other)]
    assert [row[0] for row in rows_of(found)] == names
    (third := tmp_path / "deeper" / "elsewhere").mkdir(parents=True)
    shutil.copytree(artifact, third / artifact.name)
    found.append(Measured(path=third / artifact.name, found=found[0].found))
    last = f"elsewhere/{artifact.name}"
    assert [row[0] for row in rows_of(found)] == [names[0], f"{tmp_path.name}/{last}", f"deeper/{last}"]
    assert "3 artifacts, measured again" in page_of_all(found)
