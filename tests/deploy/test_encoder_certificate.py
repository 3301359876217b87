"""Encoders are certified by their logits: classes, several labels, tags; and faults in them are told."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hone.data.rows import Row
from hone.data.tokenizer import ENCODER_SPECIALS, TextTokenizer, train_tokenizer
from hone.deploy.certificate import certify as certify_room
from hone.deploy.certificate.certify import Witness, certify
from hone.deploy.certificate.original import encoder_original_of
from hone.deploy.certificate.witness import Extent, FloatModel
from hone.deploy.pool import FreshReaders
from hone.deploy.process import FreshEncoder
from hone.deploy.quantization.calibration import batches_of, places
from hone.deploy.quantization.grids import nearest, values_of
from hone.deploy.quantization.offered import offers, prepare
from hone.deploy.quantization.replaying import Replay
from hone.deploy.quantization.sequence import round_matrices
from hone.deploy.reading import reading_callables, session_logits
from hone.deploy.runtime import RUNTIMES, runtime
from hone.deploy.weights import formats_of
from hone.errors import InputError
from hone.files import read_json, write_json
from hone.model.folder import ModelFolder, save_model_folder
from hone.model.heads import pool_by_mean
from hone.task.encoding import EncoderRenderer
from hone.task.entities import tag_names
from hone.task.spec import Task

pytest.importorskip("onnxruntime")
SMALL = Extent(positions=120, rows=16, greedy_prompts=4, greedy_tokens=8, runs=1)
WORDS = ("play", "song", "paris", "rome", "weather", "the", "in", "a", "rate")
KINDS = ("classify", "multi-label", "tag")


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A random encoder of a kind, with its folder, renderer, rows and task."""

    kind: str
    folder: Path
    module: Any
    renderer: EncoderRenderer
    rows: list[Row]
    task: Task


def row_of(kind: str, number: int) -> dict[str, Any]:
    words = [WORDS[(number * step + step) % len(WORDS)] for step in range(1, 7)]
    text = " ".join(words)
    if kind == "tag":
        start = text.find("paris")
        found = [] if start < 0 else [{"start": start, "end": start + 5, "type": "city"}]
        return {"text": text, "answer": found}
    label = "play" if number % 3 else "rate"
    return {"text": text, "answer": [label] if kind == "multi-label" else label}


@pytest.fixture(scope="module", params=KINDS)
def reader(request, tmp_path_factory) -> Reader:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification

    kind = request.param
    rows = [Row(f"dev:{number}", row_of(kind, number)) for number in range(40)]
    tokenizer = train_tokenizer([" ".join(WORDS)] * 20, 300, specials=ENCODER_SPECIALS)
    marks = tokenizer.encoder_marks
    labels = ("city",) if kind == "tag" else ("play", "rate", "none")
    values = {"task": "toy", "kind": kind, "data": {"train": "x"}, "input": "{text}", "output": "{answer}"}
    device = {"context": 48, "prompt_tokens": 8}
    task = Task.model_validate({**values, "target": 0.5, "base": "scratch:bert-1m", "device": device})
    renderer = EncoderRenderer.for_task(task, tokenizer, marks, labels)
    torch.set_num_threads(1)
    torch.manual_seed(3)
    outputs = tag_names(labels) if kind == "tag" else labels
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=48,
        initializer_range=0.2,
        num_labels=len(outputs),
    )
    made = BertForTokenClassification if kind == "tag" else BertForSequenceClassification
    module = made(config).eval()
    folder = tmp_path_factory.mktemp(kind) / "model"
    stored = [renderer.stored_example(row.id, row.fields) for row in rows[:8]]
    objective = "tag-tokens" if kind == "tag" else "classify-sequence"
    meta = {"task": "toy", "recipe": "0" * 12, "base": "scratch", "objective": objective}
    save_model_folder(folder, module, tokenizer, renderer, stored, meta)
    return Reader(kind=kind, folder=folder, module=module, renderer=renderer, rows=rows, task=task)


def witness_of(reader: Reader) -> Witness:
    return Witness(
        renderer=reader.renderer,
        examples=[reader.renderer.example(row.id, row.fields) for row in reader.rows],
        original=encoder_original_of(reader.module),
        task=reader.task,
        rows=reader.rows,
    )


def exported(name: str, model: Path, folder: Path) -> Path:
    """The widest format of a runtime; skipped where it does not export encoders."""
    folder.mkdir()
    out = folder / "model.gguf" if name == "gguf" else folder
    try:
        file = runtime(name).export(model, formats_of(name)[0].name, out)
    except InputError as refused:
        pytest.skip(f"{name} does not export this encoder: {refused}")
    if not (folder / "tokenizer.json").exists():
        shutil.copyfile(model / "tokenizer.json", folder / "tokenizer.json")
    return file


@pytest.fixture(params=sorted(RUNTIMES))
def name(request):
    return request.param


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(certify_room.EXTENTS, "quick", SMALL)


def test_a_faithful_encoder_is_certified_with_its_score(reader, name, tmp_path):
    file = exported(name, reader.folder, tmp_path / "out")
    certificate = certify(file, reader.task.device, witness_of(reader))
    assert certificate.failures == ()
    assert certificate.kind == "encoder"
    assert certificate.parity.spread.kld_high < 1e-6
    assert certificate.compared.difference.low == certificate.compared.difference.high == 0
    assert certificate.measured.ms_per_token is None
    assert [figure.name for figure in certificate.budget] == ["size_mb", "ram_mb", "first_token_ms"]
    assert {one.tokens for one in certificate.times.prompts} >= {1, 8, 17, 47, 48}
    assert "49 tokens" in certificate.times.past_context.refusal
    certificate.write(file)
    before = certificate.compared.original
    assert certificate.evaluation.score == before


def test_layers_that_change_places_break_it(reader, name, tmp_path):
    from safetensors.numpy import load_file, save_file

    spoiled = Path(shutil.copytree(reader.folder, tmp_path / "spoiled"))
    tensors = load_file(spoiled / "model.safetensors")
    one, other = (f"bert.encoder.layer.{layer}.output.dense.weight" for layer in (0, 1))
    tensors[one], tensors[other] = tensors[other], tensors[one]
    save_file(tensors, spoiled / "model.safetensors")
    certificate = certify(exported(name, spoiled, tmp_path / "out"), reader.task.device, witness_of(reader))
    assert certificate.failures[0].startswith("the mean divergence of ")


def test_another_template_breaks_it(reader, name, tmp_path):
    spoiled = Path(shutil.copytree(reader.folder, tmp_path / "spoiled"))
    hone = json.loads((spoiled / "hone.json").read_text())
    hone["renderer"]["input"] = "about {text}"
    (spoiled / "hone.json").write_text(json.dumps(hone))
    certificate = certify(exported(name, spoiled, tmp_path / "out"), reader.task.device, witness_of(reader))
    assert "a stored example renders differently: row dev:0: id 1 is " in certificate.failures[0]


def test_scoring_from_logits_alone_is_that_of_the_torch_callables(reader, tmp_path):
    from hone.evaluate.encoders import EncoderLabels, EncoderTags, at_positions

    file = exported("onnx", reader.folder, tmp_path / "out")
    ids = [reader.renderer.prompt_ids(row.fields) for row in reader.rows[:6]]
    at = [list(range(len(one))) for one in ids]
    ours = reading_callables(reader.renderer, lambda rows, places: at_positions(reader.module, rows, places))
    with FreshEncoder(file, threads=1, context=48) as session:
        theirs = reading_callables(reader.renderer, session_logits(session, reader.kind))
        assert [states.shape for states in session.embed(ids)] == [(len(one), 64) for one in ids]
        assert session.encode_with_places("in paris") == reader.renderer.tokenizer.encode_with_places("in paris")
        if reader.kind == "tag":
            for one, other, torch_s in zip(
                ours["tags"](ids, at), theirs["tags"](ids, at), EncoderTags(reader.module)(ids, at), strict=True
            ):
                np.testing.assert_allclose(one, torch_s)
                np.testing.assert_allclose(other, torch_s, atol=1e-4)
            return
        several = reader.kind == "multi-label"
        expected = EncoderLabels(reader.module, several=several)(ids, [0, 2])
        np.testing.assert_allclose(ours["labels"](ids, [0, 2]), expected, atol=1e-6)
        np.testing.assert_allclose(theirs["labels"](ids, [0, 2]), expected, atol=1e-4)


def test_rows_that_processes_share_are_answered_as_by_one(reader, tmp_path):
    file = exported("gguf", reader.folder, tmp_path / "out")
    ids = [reader.renderer.prompt_ids(row.fields) for row in reader.rows[:7]]
    at = [list(range(len(one))) for one in ids]
    with FreshEncoder(file, threads=1, context=48) as one, FreshReaders(file, processes=2, context=48) as several:
        alone, shared = (session_logits(session, reader.kind)(ids, at) for session in (one, several))
        assert several.encode_with_places("in paris") == one.encode_with_places("in paris")
    for left, right in zip(alone, shared, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-3)  # other batches round GELU otherwise


def test_an_encoders_artifact_answers_alone(reader, name, tmp_path):
    """Opened by hone, and in ONNX by the runners in its folder, it gives its golden vectors."""
    import subprocess
    import sys

    import hone
    from hone.deploy.artifact.making import export_certified

    out = tmp_path / "toy"
    try:
        export_certified(reader.folder, out, formats_of(name)[0].name, reader.task.device, witness_of(reader))
    except InputError as refused:
        pytest.skip(f"{name} does not export this encoder: {refused}")
    golden = json.loads((out / "golden.json").read_text())
    assert len(golden["vectors"]) == 8
    with hone.load(out) as model:
        for item in golden["vectors"]:
            assert model.ask(item["given"]) == item["value"]
    if name == "gguf":  # its runners ask llama.cpp's server, which test_artifact_encoders.py does
        assert (out / "run.py").exists()
        return
    web = Path(__file__).resolve().parents[2] / "tools" / "web"
    commands = [[sys.executable, str(out / "run.py"), "--check"]]
    if shutil.which("node") and (web / "node_modules").is_dir():
        commands.append(["node", str(out / "run.mjs"), "--check"])
    for command in commands:
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=web)
        assert (run.returncode, run.stdout.strip()) == (0, "0 of 8 golden vectors and 29 texts missed"), run.stderr


def test_layers_that_are_finished_change_nothing_of_what_is_rounded_behind_them(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = [reader.renderer.example(row.id, row.fields) for row in reader.rows]
    kinds = dict.fromkeys(places(reader.module), "int4")
    found = round_matrices(reader.module, batches_of(examples), kinds, "gptq")
    monkeypatch.setattr(Replay, "finish", lambda self, finished: None)
    whole = round_matrices(reader.module, batches_of(examples), kinds, "gptq")
    assert found.keys() == whole.keys() == kinds.keys()
    assert all(np.array_equal(values_of(codes), values_of(whole[name])) for name, codes in found.items())


def test_calibrated_rounding_of_an_encoder_diverges_less_in_any_group(reader: Reader) -> None:
    examples = [reader.renderer.example(row.id, row.fields) for row in reader.rows]
    for weights in ("int4", "int4-g16"):
        plain, _, calibrated = offers(reader.module, weights, examples[:30], examples[30:])
        assert calibrated.kld_mean < plain.kld_mean


def test_a_pooler_that_the_mean_stands_for_is_nothing_to_round(reader: Reader, tmp_path: Path) -> None:
    """The folder does not keep it, and the model that is opened from there has a random one that nothing reads."""
    assert any("pooler" in name for name in places(reader.module)) == (reader.kind != "tag")
    if reader.kind == "tag":  # a head over tokens has none
        return
    module, folder = copy.deepcopy(reader.module), tmp_path / "model"
    pool_by_mean(module)
    hone = read_json(reader.folder / "hone.json")
    meta = {key: hone[key] for key in ("task", "recipe", "base", "objective")}
    tokenizer: Any = reader.renderer.tokenizer
    save_model_folder(folder, module, tokenizer, reader.renderer, hone["examples"], meta)
    opened = ModelFolder(folder, TextTokenizer).load()
    assert not any("pooler" in name for name in places(opened))
    examples = [reader.renderer.example(row.id, row.fields) for row in reader.rows]
    out = tmp_path / "out"
    out.mkdir()
    for name, weights, where in (("onnx", "int4", out), ("gguf", "q4_0", out / "model.gguf")):
        prepared = prepare(folder, weights, examples[:30], judged=examples[30:], how="gptq")
        assert runtime(name).export(folder, weights, where, prepared).exists()


def test_an_encoder_that_was_trained_for_its_grid_is_told_beside_its_floats(reader: Reader, tmp_path: Path) -> None:
    import torch

    folder, out = Path(shutil.copytree(reader.folder, tmp_path / "model")), tmp_path / "out"
    weights: dict[str, Any] = load_file(folder / "model.safetensors")
    rounded = {name: values_of(nearest(weights[name], 4)) for name in places(reader.module)}
    save_file(weights | rounded, folder / "model.safetensors")
    write_json(folder / "hone.json", {**read_json(folder / "hone.json"), "aware": "q4_0"})
    prepared = prepare(folder, "int4", [])
    assert prepared.codes.keys() == rounded.keys()
    out.mkdir()
    file = runtime("onnx").export(folder, "int4", out, prepared)
    module = copy.deepcopy(reader.module)
    for name, values in rounded.items():
        module.get_parameter(name).data.copy_(torch.from_numpy(values))
    on_grid = encoder_original_of(module)
    floats = FloatModel(name="floats", renderer=reader.renderer, original=encoder_original_of(reader.module))
    witness = replace(witness_of(reader), original=on_grid, floats=floats)
    certificate = certify(file, reader.task.device, witness)
    assert certificate.prepared == "aware"
    assert certificate.parity is not None
    assert certificate.floats is not None
    assert certificate.floats.spread.kld_mean > 3 * certificate.parity.kld_mean
    assert certificate.floats.compared is not None
    assert certificate.floats.compared.rows == certificate.compared.rows
