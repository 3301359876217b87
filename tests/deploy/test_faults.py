"""Faults that exporters have been seen to make, planted in every runtime: each breaks the certificate and is told."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hone.deploy.certificate import certify as certify_room
from hone.deploy.certificate.certify import Certificate, Witness, certify
from hone.deploy.certificate.witness import Extent
from hone.deploy.process import FreshProcess
from hone.deploy.runtime import RUNTIMES, runtime
from hone.deploy.weights import formats_of
from hone.errors import FailedError, InputError
from hone.files import file_hash, write_json
from hone.task.spec import Device

NEEDS = {"gguf": "xllamacpp", "onnx": "onnxruntime"}
DEVICE = Device(context=96, prompt_tokens=16)
SMALL = Extent(positions=200, rows=24, greedy_prompts=6, greedy_tokens=8, runs=1)


Tensors = dict[str, Any]


def exported(name: str, model: Path, folder: Path, weights: str) -> Path:
    """The model file of an export by the runtime of that name."""
    chosen = runtime(name)
    folder.mkdir(parents=True, exist_ok=True)
    return chosen.export(model, weights, folder / "model.gguf" if chosen.suffix == ".gguf" else folder)


def format_with(name: str, bits: float) -> str:
    """The runtime's format of so many bits."""
    return next(one.name for one in formats_of(name) if one.bits == bits)


def copy_of(model: Path, folder: Path) -> Path:
    """A copy of a model folder, to be spoiled."""
    return Path(shutil.copytree(model, folder / "spoiled"))


def with_tensors(model: Path, folder: Path, change: Callable[[Tensors], None]) -> Path:
    """A copy whose tensors were changed."""
    from safetensors.numpy import load_file, save_file

    spoiled = copy_of(model, folder)
    tensors = load_file(spoiled / "model.safetensors")
    change(tensors)
    save_file({key: np.ascontiguousarray(one) for key, one in tensors.items()}, spoiled / "model.safetensors")
    return spoiled


def with_hone(model: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy whose ``hone.json`` was changed."""
    spoiled = copy_of(model, folder)
    hone = json.loads((spoiled / "hone.json").read_text())
    change(hone)
    (spoiled / "hone.json").write_text(json.dumps(hone))
    return spoiled


def interleaved(tensors: Tensors) -> None:
    """Rows of queries and keys in the other rotary layout: pairs beside each other instead of half a head apart."""
    for key, matrix in tensors.items():
        for part, heads in (("q_proj", 4), ("k_proj", 2)):
            if part in key:
                rows, columns = matrix.shape
                halves = matrix.reshape(heads, 2, rows // heads // 2, columns)
                tensors[key] = halves.swapaxes(1, 2).reshape(rows, columns)


def swapped(tensors: Tensors) -> None:
    """Two tensors of one shape in each other's place, as a wrong table of names gives."""
    one, other = (f"model.layers.0.mlp.{name}_proj.weight" for name in ("gate", "up"))
    tensors[one], tensors[other] = tensors[other], tensors[one]


def overflowing(tensors: Tensors) -> None:
    """The same function in 32 bits, with weights that 16 bits have no number for (the largest is 65,504)."""
    for key in list(tensors):
        if key.endswith("up_proj.weight"):
            tensors[key] = tensors[key] * np.float32(2.0**22)
            down = key.replace("up_proj", "down_proj")
            tensors[down] = tensors[down] * np.float32(2.0**-22)


def off_by_one(model: Path, folder: Path) -> Path:
    """A copy whose tokenizer gives every ordinary token the id of its neighbour."""
    spoiled = copy_of(model, folder)
    tokenizer = json.loads((spoiled / "tokenizer.json").read_text())
    special = {entry["content"] for entry in tokenizer["added_tokens"]}
    vocab = tokenizer["model"]["vocab"]
    ordinary = sorted((index, token) for token, index in vocab.items() if token not in special)
    ids = [index for index, _ in ordinary]
    vocab.update({token: index for (_, token), index in zip(ordinary, [*ids[1:], ids[0]], strict=True)})
    (spoiled / "tokenizer.json").write_text(json.dumps(tokenizer))
    return spoiled


@pytest.fixture(params=sorted(RUNTIMES))
def name(request):
    pytest.importorskip(NEEDS[request.param])
    return request.param


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(certify_room.EXTENTS, "quick", SMALL)


def certified(name: str, model: Path, folder: Path, witness: Witness, bits: float = 32.0) -> Certificate:
    return certify(exported(name, model, folder / "out", format_with(name, bits)), DEVICE, witness)


def test_a_faithful_export_is_certified_in_its_widest_format(toy, toy_witness, name, tmp_path):
    certificate = certified(name, toy.folder, tmp_path, toy_witness)
    assert certificate.failures == ()
    assert certificate.status == "certified"
    assert certificate.parity.spread.kld_high < 1e-6
    assert certificate.compared.difference.low == certificate.compared.difference.high == 0
    assert certificate.training_modules == ()
    assert certificate.measured.interpreter_mb < certificate.measured.without_model_mb <= certificate.measured.ram_mb
    assert "97 tokens" in certificate.times.past_context.refusal


def test_a_full_certificate_scores_all_rows_by_the_pessimistic_end_and_asks_for_them(
    toy, toy_witness, tmp_path, monkeypatch
):
    pytest.importorskip("xllamacpp")
    monkeypatch.setitem(certify_room.EXTENTS, "full", replace(SMALL, rows=None, positions=100_000, runs=2))
    file = exported("gguf", toy.folder, tmp_path, "f32")
    certificate = certify(file, DEVICE, toy_witness, "full")
    assert certificate.status == "certified"
    assert certificate.compared.rows == certificate.evaluation.n == len(toy.rows)
    gate = next(one for one in certificate.gates if one.name == "task score")
    assert gate.decided_by.startswith("lower end")
    assert len(certificate.times.by_threads[0].runs) == 2
    assert any("all that were given; 100,000 are meant" in note for note in certificate.notes)
    with pytest.raises(InputError, match="hand it the task and its dev rows"):
        certify(file, DEVICE, replace(toy_witness, task=None), "full")


def test_the_wrong_rotary_layout(toy, toy_witness, name, tmp_path):
    spoiled = with_tensors(toy.folder, tmp_path, interleaved)
    failures = certified(name, spoiled, tmp_path, toy_witness).failures
    assert failures[0].startswith("the mean divergence of ")
    assert "over the 1e-06 of this format" in failures[0]


def test_a_swapped_tensor(toy, toy_witness, name, tmp_path):
    failures = certified(name, with_tensors(toy.folder, tmp_path, swapped), tmp_path, toy_witness).failures
    assert failures[0].startswith("the mean divergence of ")


def test_a_template_that_is_not_the_stored_examples(toy, toy_witness, name, tmp_path):
    spoiled = with_hone(toy.folder, tmp_path, lambda hone: hone["renderer"].update(input="Request: {text}"))
    failures = certified(name, spoiled, tmp_path, toy_witness).failures
    assert failures[0].startswith("a stored example renders differently: row dev:0: id 0 is ")


def test_a_template_with_examples_to_match(toy, toy_witness, name, tmp_path):
    def other(hone):
        renderer = type(toy.renderer).from_json({**hone["renderer"], "input": "{text}!"}, toy.renderer.tokenizer)
        hone["renderer"] = renderer.to_json()
        hone["examples"] = [renderer.stored_example(one["row"], one["fields"]) for one in hone["examples"]]

    failures = certified(name, with_hone(toy.folder, tmp_path, other), tmp_path, toy_witness).failures
    assert "a stored example renders differently: row dev:0" in failures[0]
    assert "in training" in failures[0]


def test_a_tokenizer_off_by_one(toy, toy_witness, name, tmp_path):
    failures = certified(name, off_by_one(toy.folder, tmp_path), tmp_path, toy_witness).failures
    assert failures[0].startswith("token ids differ on ' ': [")
    assert "in training" in failures[0]


def test_sixteen_bits_that_overflow(toy, toy_witness, name, tmp_path):
    spoiled = with_tensors(toy.folder, tmp_path, overflowing)
    assert certified(name, spoiled, tmp_path, toy_witness).status == "certified"
    try:
        said = " ".join(certified(name, spoiled, tmp_path / "half", toy_witness, bits=16.0).failures)
    except (FailedError, InputError) as refused:
        # An exporter that notices by itself is as good, if it says why.
        said = str(refused)
    assert "not finite" in said or "65,504" in said


def test_a_flipped_byte_is_found_when_the_artifact_is_opened(toy, name, tmp_path):
    file = exported(name, toy.folder, tmp_path / "out", format_with(name, 32.0))
    write_json(file.parent / "hone.json", {"format": 1, "hashes": {"model": file_hash(file)}})
    with FreshProcess(file.parent, threads=1, context=64) as process:
        assert process.next_logprobs([5, 6]).shape == (toy.renderer.tokenizer.vocab_size,)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(FailedError, match=r"has SHA-256 [0-9a-f]{12}, and [0-9a-f]{12} was certified: it has changed"):
        FreshProcess(file.parent, threads=1, context=64)


def test_the_worker_imports_no_other_runtime_than_the_one_it_opens(toy, name, tmp_path):
    file = exported(name, toy.folder, tmp_path / "out", format_with(name, 32.0))
    with FreshProcess(file, threads=1, context=64) as process:
        facts = process.facts()
    assert facts["training_modules"] == []
    assert not {NEEDS[other] for other in RUNTIMES if other != name} & set(facts["libraries"])


def test_the_reference_arithmetic_of_the_rotary_fault():
    # Row i of the half-split layout stands beside row i + d/2 in the other one.
    matrix = np.arange(16, dtype=np.float32)[:, None]
    tensors = {"q_proj": matrix}
    interleaved(tensors)
    assert tensors["q_proj"][:4, 0].tolist() == [0, 2, 1, 3]


def test_a_worker_that_reads_nothing_is_ended_and_told(toy, name, tmp_path):
    """A request that is larger than a pipe holds would stop the asker for ever."""
    file = exported(name, toy.folder, tmp_path / "out", format_with(name, 32.0))
    with FreshProcess(file, threads=1, context=64) as process:
        os.kill(process.facts()["process"], signal.SIGSTOP)
        process._answer_seconds = 0.2
        with pytest.raises(FailedError, match=r"no answer within 0 s; the process was ended"):
            process.tokenize("a" * 2**20)
