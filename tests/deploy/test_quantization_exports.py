"""What an export is handed: calibrated on training rows, mixed within the device's budget, refused without a task."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gguf
import numpy as np
import pytest

from hone.data.rows import Row
from hone.data.tokenizer import TextTokenizer
from hone.deploy.apart import Apart
from hone.deploy.decoders import EMBEDDING
from hone.deploy.gguf.writing import export, rotary_rows
from hone.deploy.quantization.grids import values_of
from hone.deploy.tensors import Tensors
from hone.errors import InputError
from hone.model.folder import ModelFolder
from hone.solving.calibrating import prepared_for


@pytest.fixture
def order(built: Any) -> dict[str, Any]:
    """An export's order on the toy task."""
    rows = [
        Row(id=f"train:{at}", fields={"text": f"play song {at}", "intent": "play" if at % 2 else "rate"})
        for at in range(24)
    ]
    task = SimpleNamespace(kind="extract", overlong_rule="error", device=SimpleNamespace(context=128, size_mb=None))
    return {"task": task, "data": SimpleNamespace(train=rows[:16], dev=rows[16:])}


def test_an_artifact_holds_the_codes_that_were_measured(built: Any, order: dict[str, Any], tmp_path: Path) -> None:
    said: list[str] = []
    prepared = prepared_for(
        ModelFolder(built.folder, TextTokenizer), "q4_0", {**order, "calibrate": "gptq"}, said.append
    )
    assert prepared.how == "gptq"
    assert prepared.rows == 16
    assert [line.split(":")[0] for line in said] == ["q4_0, gptq"]
    stored = {
        one.name: one for one in gguf.GGUFReader(export(built.folder, "q4_0", tmp_path / "m.gguf", prepared)).tensors
    }
    for ours, theirs, heads in (
        ("model.embed_tokens.weight", "token_embd.weight", 0),
        ("model.layers.1.mlp.down_proj.weight", "blk.1.ffn_down.weight", 0),
        ("model.layers.0.self_attn.q_proj.weight", "blk.0.attn_q.weight", 4),
    ):
        wanted = values_of(prepared.codes[ours])
        found = gguf.quants.dequantize(stored[theirs].data, stored[theirs].tensor_type)
        assert np.array_equal(found, rotary_rows(wanted, heads) if heads else wanted)


def test_a_mixture_uses_its_budget_and_keeps_it(built: Any, order: dict[str, Any], tmp_path: Path) -> None:
    model, sizes = ModelFolder(built.folder, TextTokenizer), {}
    for weights in ("q4_0", "q8_0"):
        sizes[weights] = export(built.folder, weights, tmp_path / f"{weights}.gguf").stat().st_size
    size_mb = (sizes["q4_0"] + sizes["q8_0"]) / 2e6
    order["task"].device.size_mb = size_mb
    said: list[str] = []
    prepared = prepared_for(model, "q4_0", {**order, "mixed": True, "calibrate": "gptq"}, said.append)
    assert set(prepared.kinds) == {name for name, shape in Tensors(built.folder).shapes.items() if len(shape) == 2}
    size = export(built.folder, "q4_0", tmp_path / "mixed.gguf", prepared).stat().st_size
    assert 0.9 * size_mb * 1e6 < size <= size_mb * 1e6
    assert f"matrices within {size_mb:g} MB" in said[0]
    assert not any("larger than q8_0" in line for line in said)
    order["task"].device.size_mb = 2 * sizes["q8_0"] / 1e6
    prepared_for(model, "q4_0", {**order, "mixed": True, "calibrate": "gptq"}, said.append)
    assert any("larger than q8_0 as it is" in line for line in said)


def test_a_model_without_its_task_is_rounded_plainly_and_no_other_way(built: Any) -> None:
    model, said = ModelFolder(built.folder, TextTokenizer), list[str]()
    assert prepared_for(model, "q4_0", {}, said.append).how == ""
    assert "comes without its task" in said[0]
    for wished in ({"calibrate": "gptq"}, {"mixed": True}):
        with pytest.raises(InputError, match="reads training rows, and this model comes without its task"):
            prepared_for(model, "q4_0", wished, said.append)
    assert prepared_for(model, "q8_0", {}, said.append).codes == {}
    assert len(said) == 1


def test_an_embedding_apart_has_its_kind_in_every_way_of_rounding(built: Any, order: dict[str, Any]) -> None:
    model, said = ModelFolder(built.folder, TextTokenizer), list[str]()
    wish = Apart(embedding=("q8_0", "int8"))
    prepared = prepared_for(model, "q4_0", {**order, "apart": wish, "calibrate": "gptq"}, said.append)
    assert prepared.kinds == {EMBEDDING: "q8_0"}
    assert {codes.bits for name, codes in prepared.codes.items() if name != EMBEDDING} == {4}
    assert prepared.codes[EMBEDDING].bits == 8
    said.clear()
    # What has 8 bits or more everywhere reads no rows; a model without its task is rounded plainly.
    assert prepared_for(model, "int8", {**order, "apart": Apart(embedding=("fp16",))}, said.append).codes == {}
    assert not said
    assert prepared_for(model, "q4_0", {"apart": wish}, said.append).kinds == {EMBEDDING: "q8_0"}
    mixed = {**order, "apart": wish, "mixed": True, "calibrate": "gptq"}
    order["task"].device.size_mb = 1.0
    assert prepared_for(model, "q4_0", mixed, said.append).kinds[EMBEDDING] == "q8_0"


def test_a_mixture_needs_a_budget(built: Any, order: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="--mixed needs a budget"):
        prepared_for(ModelFolder(built.folder, TextTokenizer), "q4_0", {**order, "mixed": True}, lambda line: None)
