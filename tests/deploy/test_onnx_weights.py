"""How matrices are stored in ONNX files: on which grid, in how many bytes, as prepared, or refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hone.deploy.decoders import EMBEDDING, decoder_shape
from hone.deploy.onnx.kinds import KIND_BITS
from hone.deploy.onnx.rounding import round_to_blocks
from hone.deploy.onnx.session import OnnxSession
from hone.deploy.onnx.writing import export, refusals
from hone.deploy.quantization.grids import BLOCK, values_of
from hone.deploy.tensors import Tensors
from hone.deploy.weights import Codes, Prepared, formats_of, stored_bytes, weight_format
from hone.errors import FailedError, InputError
from hone.files import read_json

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

GATE = "model.layers.0.mlp.gate_proj.weight"
FORMATS = [one.name for one in formats_of("onnx") if one.block <= 64]  # the toy's rows have 64 weights


@pytest.fixture(scope="module")
def folder(plain_model):
    return plain_model("extract")[0]


def stored(path):
    """Constants of a file by name, as a reader that is not ours finds them."""
    return {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}


def matrices(folder):
    tensors = Tensors(folder)
    return {name: tensors.read(name) for name, shape in tensors.shapes.items() if len(shape) == 2}


@pytest.mark.parametrize(("bits", "steps"), [(8, 127), (4, 8)])
def test_plain_values_stay_within_half_a_step_of_their_block(bits, steps):
    values = np.random.default_rng(0).normal(size=(16, 96)).astype(np.float32)
    codes = round_to_blocks("m", values, bits)
    blocks, found = values.reshape(-1, BLOCK), values_of(codes).reshape(-1, BLOCK)
    largest = np.abs(blocks).max(-1, keepdims=True)
    # The scale's own rounding moves a value by 2^-11 of itself; 4 bits reach 7 on one side, so a whole step there.
    allowed = largest / steps * (0.5 if bits == 8 else 1.0) + largest * 2.0**-11 * 1.01
    assert (np.abs(found - blocks) <= allowed).all()
    assert codes.scales.dtype == np.float16


@pytest.mark.parametrize("bits", [8, 4])
def test_importance_lowers_the_error_that_it_weighs(bits):
    random = np.random.default_rng(1)
    values = random.normal(size=(32, 128)).astype(np.float32)
    importance = (random.normal(size=128) ** 2).astype(np.float32)

    def error(codes):
        return float((importance * (values_of(codes) - values) ** 2).sum())

    plain, weighted = round_to_blocks("m", values, bits), round_to_blocks("m", values, bits, importance)
    assert error(weighted) < (0.9 if bits == 4 else 1.0) * error(plain)


def test_a_block_of_zeros_stays_zero():
    values = np.zeros((2, 32), np.float32)
    for bits in (4, 8):
        assert not values_of(round_to_blocks("m", values, bits, np.ones(32, np.float32))).any()


@pytest.mark.parametrize("weights", FORMATS)
def test_a_file_holds_as_many_bytes_of_weights_as_the_format_says(folder, tmp_path, weights):
    constants = stored(export(folder, weights, tmp_path / weights))
    shapes = Tensors(folder).shapes
    used = {name: shapes[name] for name in decoder_shape(read_json(folder / "config.json")).tensors()}
    names = {name + end for name in used for end in ("", ".codes", ".scales")}
    found = sum(values.nbytes for name, values in constants.items() if name in names)
    assert found == stored_bytes(used, weight_format(weights))
    # The rest: frequencies of the rotary embedding, and lists of numbers that operators take.
    assert sum(values.nbytes for name, values in constants.items() if name not in names) < 500


def grid(values, bits: int, block: int = 32) -> Codes:
    """Random codes of the matrix's shape; what they stand for has nothing to do with its values."""
    random = np.random.default_rng(bits)
    low, high = (-8, 8) if bits == 4 else (-127, 128)
    codes = random.integers(low, high, values.shape).astype(np.int8)
    scales = random.uniform(0.3, 1.0, (values.shape[0], values.shape[1] // block)) / high
    return Codes(codes=codes, scales=scales.astype(np.float16), bits=bits, block=block)


@pytest.mark.parametrize(("bits", "block"), [(8, 32), (4, 32), (4, 16), (8, 64)])
def test_ready_codes_are_stored_and_computed_as_they_are(folder, tmp_path, bits, block):
    ready = {name: grid(values, bits, block) for name, values in matrices(folder).items()}
    prepared = Prepared(codes=ready, how="gptq", rows=7)
    kind = f"int{bits}" if block == 32 else f"int{bits}-g{block}"
    path = export(folder, f"int{bits}", tmp_path / "ready", prepared)
    constants = stored(path)
    np.testing.assert_array_equal(constants[f"{GATE}.scales"], ready[GATE].scales)
    raw = constants[f"{GATE}.codes"].reshape(128, -1)
    # Two codes to a byte, the first in the low half; the middle of the unsigned range is 0.
    found = raw if bits == 8 else np.stack([raw & 15, raw >> 4], -1).reshape(128, -1)
    np.testing.assert_array_equal(found.astype(int) - (128 if bits == 8 else 8), ready[GATE].codes)
    # The same values as a model folder of 32 bits give the same probabilities.
    plain = tmp_path / "plain"
    shutil.copytree(folder, plain)
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {name: values_of(codes) for name, codes in ready.items()}, plain / "model.safetensors")
    rows = [np.random.default_rng(3).integers(4, 200, 24).tolist()]
    ours = OnnxSession(path, threads=1, context=32).logprobs(rows)[0]
    theirs = OnnxSession(export(plain, "fp32", tmp_path / "fp32"), threads=1, context=32).logprobs(rows)[0]
    divergence = float((np.exp(theirs) * (theirs - ours)).sum(-1).mean())
    assert divergence < 0.01, "rounding inputs to 8 bits costs little; a wrong code, scale or zero point costs nats"
    metadata = {one.key: one.value for one in onnx.load(path).metadata_props}
    assert (metadata["hone.prepared"], metadata["hone.prepared_rows"]) == ("gptq", "7")
    assert set(json.loads(metadata.get("hone.kinds", "{}")).values()) == ({kind} - {f"int{bits}"})


def test_matrices_of_one_file_have_kinds_of_their_own(folder, tmp_path):
    prepared = Prepared(kinds={GATE: "fp16", EMBEDDING: "int8"})
    path = export(folder, "int4", tmp_path / "mixed", prepared)
    constants = stored(path)
    assert constants[GATE].dtype == np.float16
    assert constants[f"{EMBEDDING}.codes"].nbytes == matrices(folder)[EMBEDDING].size
    metadata = {one.key: one.value for one in onnx.load(path).metadata_props}
    assert json.loads(metadata["hone.kinds"]) == dict(prepared.kinds)
    assert "accuracy level 4" in metadata["hone.compute"]
    assert "fp16 matrices are widened" in metadata["hone.compute"]
    OnnxSession(path, threads=1, context=32).next_logprobs([5, 6])


def test_preparations_that_cannot_be_honoured_are_refused_all_at_once(folder, tmp_path):
    values = matrices(folder)[GATE]
    prepared = Prepared(
        kinds={"model.norm.weight": "int8", GATE: "q4_k"},
        importance={"lm_head.weight": np.ones(64, np.float32)},
        codes={EMBEDDING: grid(values, 4)},
    )
    with pytest.raises(InputError) as caught:
        export(folder, "int4", tmp_path / "out", prepared)
    said = "\n".join(caught.value.problems)
    for part in ("model.norm.weight is no matrix", "lm_head.weight is no matrix", '"q4_k"'):
        assert part in said
    for wrong in (
        Prepared(codes={EMBEDDING: grid(values, 4)}),
        Prepared(
            codes={GATE: Codes(codes=np.full((128, 64), 8, np.int8), scales=grid(values, 4).scales, bits=4, block=32)}
        ),
        Prepared(codes={GATE: grid(values, 4)}, kinds={GATE: "int8"}),
        Prepared(importance={GATE: np.ones(128, np.float32)}),
        Prepared(importance={GATE: np.full(64, -1.0, np.float32)}),
    ):
        with pytest.raises(InputError, match="prepared"):
            export(folder, "int4", tmp_path / "out", wrong)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("weights", "value"), [("fp16", 70_000.0), ("int4", 600_000.0), ("int8", 9e6)])
def test_values_that_16_bits_do_not_hold_are_refused_by_name(folder, tmp_path, weights, value):
    large = tmp_path / "large"
    shutil.copytree(folder, large)
    tensors = load_file(folder / "model.safetensors")
    tensors[GATE] = tensors[GATE].copy()
    tensors[GATE][3, 5] = value
    save_file(tensors, large / "model.safetensors")
    with pytest.raises(InputError, match=f"tensor {GATE}: .* 16 bits hold"):
        export(large, weights, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rows_that_do_not_divide_and_foreign_shapes_are_refused(folder):
    config, shapes = read_json(folder / "config.json"), dict(Tensors(folder).shapes)
    assert refusals(config, shapes, "int4", folder) == []
    narrow = {name: (shape[0], 172) if "down_proj" in name else shape for name, shape in shapes.items()}
    assert len(refusals(config, narrow, "int8")) == 1
    assert "nor do those of 1 more" in refusals(config, narrow, "int8")[0]
    assert "rows of 172 weights do not divide by the 32 of int8" in refusals(config, narrow, "int8")[0]
    assert refusals(config, narrow, "fp16") == []
    (refused,) = refusals(config, shapes, "int4-g128")
    assert "rows of 64 weights do not divide by the 128 of int4-g128" in refused
    assert "use int8 or int4 (groups of 32)" in refused
    assert "heads of width 12" in refusals(config | {"head_dim": 12}, shapes, "fp32")[0]
    assert 'model_type "gpt2" is not exported' in refusals(config | {"model_type": "gpt2"}, shapes, "fp32")[0]
    assert "q8_0 is a format of gguf" in refusals(config, shapes, "q8_0")[0]
    assert "tensor extra has no place" in refusals(config, shapes | {"extra": (3,)}, "fp32")[0]
    wide = dict.fromkeys(shapes, (40_000, 40_000))
    assert any("GB of weights" in problem for problem in refusals(config, wide, "fp16"))


@pytest.mark.parametrize("fault", [FailedError, OSError])
def test_a_failed_export_leaves_nothing(folder, tmp_path, monkeypatch, fault):
    from hone.deploy.onnx import writing

    real = writing.atomic_write

    def full_disk(path, data):
        if path.suffix == ".onnx":
            raise fault("no space left")
        return real(path, data)

    monkeypatch.setattr(writing, "atomic_write", full_disk)
    with pytest.raises(FailedError, match="no space"):
        export(folder, "fp32", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "tokenizer.json").write_text("before")
    with pytest.raises(FailedError, match="no space"):
        export(folder, "fp32", tmp_path / "old")
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["tokenizer.json"]


def test_kinds_count_the_scales_of_16_bits():
    assert KIND_BITS["int4"] - 4 == KIND_BITS["int8"] - 8 == 16 / BLOCK
    assert [weight_format(f"int4-g{group}").bits - 4 for group in (16, 64, 128)] == [1, 0.25, 0.125]


@pytest.mark.parametrize("group", [16, 64])
def test_each_group_of_a_row_has_its_own_scale_and_the_runtime_computes_with_it(folder, tmp_path, group):
    """The largest weight of each group has the code -8, so its scale is that weight by -8."""
    path = export(folder, f"int4-g{group}", tmp_path / "out")
    values = matrices(folder)[GATE]
    groups = values.reshape(len(values), -1, group)
    largest = np.take_along_axis(groups, np.abs(groups).argmax(-1, keepdims=True), -1)[..., 0]
    np.testing.assert_array_equal(stored(path)[f"{GATE}.scales"], (largest / -8).astype(np.float16))
    rounded = {name: values_of(round_to_blocks(name, one, 4, block=group)) for name, one in matrices(folder).items()}
    plain = tmp_path / "plain"
    shutil.copytree(folder, plain)
    save_file(load_file(folder / "model.safetensors") | rounded, plain / "model.safetensors")
    rows = [np.random.default_rng(3).integers(4, 200, 24).tolist()]
    ours = OnnxSession(path, threads=1, context=32).logprobs(rows)[0]
    theirs = OnnxSession(export(plain, "fp32", tmp_path / "fp32"), threads=1, context=32).logprobs(rows)[0]
    assert float((np.exp(theirs) * (theirs - ours)).sum(-1).mean()) < 0.01
