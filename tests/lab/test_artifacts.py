from __future__ import annotations

import hashlib
import json

import pytest

from hone.errors import InputError
from hone.lab import artifacts


@pytest.fixture
def artifact(lab, finished):
    finished("default", 0.8)
    path = lab.folder / "artifacts" / "voice-q8_0.gguf"
    path.parent.mkdir()
    path.write_bytes(b"GGUF")
    return path


def test_an_artifact_is_known_by_its_bytes_and_says_where_it_came_from(lab, artifact):
    recorded = lab.record_artifact(artifact, 1, checkpoint="best", certificate={"status": "certified", "kld": 0.0004})
    assert recorded.content_hash == hashlib.sha256(b"GGUF").hexdigest()
    assert (recorded.id, recorded.size_bytes) == (recorded.content_hash[:12], 4)
    assert (recorded.path, recorded.run, recorded.checkpoint) == ("artifacts/voice-q8_0.gguf", 1, "best")
    assert recorded.status == "certified"
    assert lab.artifacts() == [recorded]


def test_the_certificate_beside_the_artifact_is_taken(lab, artifact):
    beside = artifact.with_name(artifact.name + ".certificate.json")
    beside.write_text(json.dumps({"status": "contract-checked"}))
    assert lab.record_artifact(artifact, "best").certificate == {"status": "contract-checked"}


def test_without_a_certificate_it_is_only_converted(lab, artifact):
    assert lab.record_artifact(artifact, 1).status == "converted"


def test_a_new_export_replaces_the_old_one_in_the_list_and_both_stay_in_the_ledger(lab, artifact):
    lab.record_artifact(artifact, 1)
    artifact.write_bytes(b"GGUF v2")
    newer = lab.record_artifact(artifact, 1)
    assert lab.artifacts() == [newer]
    assert len((artifact.parent / "artifacts.jsonl").read_text().splitlines()) == 2


def test_one_that_is_measured_again_has_its_new_status_its_run_and_its_old_place(lab, artifact):
    lab.record_artifact(artifact, 1, checkpoint="best", certificate={"status": "certified"})
    (other := artifact.with_name("voice-int8.gguf")).write_bytes(b"GGUF 8")
    lab.record_artifact(other, 1)
    lab.record_again(artifact, {"status": "converted"})
    found = lab.artifacts()
    assert [(one.path, one.run, one.checkpoint) for one in found] == [
        ("artifacts/voice-q8_0.gguf", 1, "best"),
        ("artifacts/voice-int8.gguf", 1, ""),
    ]
    assert found[0].status == "converted"
    assert lab.record_again(artifact.with_name("none.gguf"), {}) is None


def test_an_artifact_that_was_changed_or_deleted_afterwards_is_seen(lab, artifact):
    recorded = lab.record_artifact(artifact, 1)
    assert artifacts.changed(recorded, lab.folder) == ""
    artifact.write_bytes(b"GGUX")
    assert "its certificate no longer holds" in artifacts.changed(recorded, lab.folder)
    artifact.unlink()
    assert "voice-q8_0.gguf is gone; its record says 4 bytes" in artifacts.changed(recorded, lab.folder)


def test_a_folder_is_hashed_by_names_and_contents(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "one").write_text("1")
        (tmp_path / name / "two").write_text("22")
    digest, size_bytes = artifacts.measure(tmp_path / "a")
    assert artifacts.measure(tmp_path / "b") == (digest, 3) == (digest, size_bytes)
    (tmp_path / "b" / "two").rename(tmp_path / "b" / "renamed")
    assert artifacts.measure(tmp_path / "b")[0] != digest


def test_what_is_not_there_cannot_be_recorded(lab, artifact):
    with pytest.raises(InputError, match=r"no artifact at .*nothing\.gguf"):
        lab.record_artifact(artifact.with_name("nothing.gguf"), 1)
    with pytest.raises(InputError, match="no run 5 "):
        lab.record_artifact(artifact, 5)
    assert lab.artifacts() == []
