"""Where artifacts lie: what is stored otherwise has another name, and an interrupted export leaves no folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hone.deploy.apart import Apart
from hone.deploy.artifact import making
from hone.deploy.artifact.making import artifact_name, export_certified
from hone.deploy.certificate.witness import Witness
from hone.deploy.weights import weight_format
from hone.solving.artifact import Bench
from hone.solving.exporting import Source, foreseen
from hone.task.spec import Device

WISH = Apart(embedding=("q8_0", "int8-g64"), head=("q6_k",))


@pytest.mark.parametrize(("weights", "wish", "mixed", "name"), [
    ("q8_0", Apart(), False, "voice-run0007-gguf-q8_0"),
    ("q4_0", Apart(), True, "voice-run0007-gguf-q4_0-mixed"),
    ("q4_0", Apart(embedding=("q8_0",)), False, "voice-run0007-gguf-q4_0-emb-q8_0"),
    ("q4_0", WISH, True, "voice-run0007-gguf-q4_0-emb-q8_0-head-q6_k-mixed"),
    ("int4", WISH, False, "voice-run0007-onnx-int4-emb-int8-g64"),
])  # fmt: skip
def test_what_is_stored_otherwise_is_in_the_name(weights: str, wish: Apart, mixed: bool, name: str) -> None:
    assert artifact_name("voice-run0007", weight_format(weights), wish, mixed=mixed) == name


def test_what_is_foreseen_and_what_is_made_have_one_name(plain_model: Any, tmp_path: Path, monkeypatch: Any) -> None:
    folder, _ = plain_model("extract")
    source = Source(model=folder, stem="toy", out=tmp_path, order={})
    made: list[Path] = []

    def export(model: Path, out: Path, *rest: Any, **named: Any) -> Any:
        made.append(out)
        return SimpleNamespace(within_budget=None, over_budget=list)

    monkeypatch.setattr(making, "export_certified", export)
    monkeypatch.setattr("hone.solving.calibrating.prepared_for", lambda *given: None)
    bench = Bench.__new__(Bench)
    vars(bench).update(
        {"model": SimpleNamespace(path=folder), "out": tmp_path, "size": "quick", "device": Device()},
        _witness=None, _origin=None, _channel=SimpleNamespace(send=lambda message: None),
    )  # fmt: skip
    for apart, mixed in ((Apart(), False), (Apart(embedding=("q8_0",)), False), (Apart(), True)):
        bench.order = {"name": "toy", "apart": apart, "mixed": mixed}
        bench.make("q4_0")
        assert foreseen(source, ["q4_0"], apart, mixed=mixed)[0].path == made[-1]
    assert len(set(made)) == 3, "none replaces another"


def test_an_interrupted_export_leaves_no_folder_that_it_made(
    plain_model: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    folder, renderer = plain_model("extract")
    witness = Witness(renderer=renderer, examples=[], original=None)

    def interrupted(*given: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "certify", interrupted)
    (kept := tmp_path / "kept").mkdir()
    for place in (kept, tmp_path / "new" / "deeper"):
        with pytest.raises(KeyboardInterrupt):
            export_certified(folder, place / "toy-gguf-f32", "f32", Device(context=96), witness)
    assert list(tmp_path.rglob("*")) == [kept]
