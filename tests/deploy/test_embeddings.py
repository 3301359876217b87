"""Encoders without a head give one vector for a text: pooled as their folder says, and like the torch original's."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import hone
from hone.data.tokenizer import ENCODER_SPECIALS, TextTokenizer, train_tokenizer
from hone.deploy.artifact.golden import golden_problems
from hone.deploy.artifact.making import export_certified
from hone.deploy.certificate import certify as certify_room
from hone.deploy.certificate.likeness import LEAST_COSINE, Likeness, least_mean, likeness_gates, likeness_of
from hone.deploy.certificate.page import page_of
from hone.deploy.certificate.recertify import recertify
from hone.deploy.certificate.witness import Extent
from hone.deploy.process import FreshEncoder
from hone.deploy.runtime import RUNTIMES, runtime
from hone.deploy.weights import FORMATS, formats_of, weight_format
from hone.errors import FailedError, InputError
from hone.model.embedding import vector_form
from hone.model.encoders import EncoderShape, encoder_from_scratch
from hone.model.folder import ModelFolder
from hone.model.neutral import neutral_texts
from hone.solving.bare import bare_source
from hone.solving.bare_encoders import compared_texts, dressed_encoder
from hone.solving.compared import bare_witness_of
from hone.task.spec import Device

pytest.importorskip("onnxruntime")
pytest.importorskip("xllamacpp")
CONTEXT = 160
DEVICE = Device(context=CONTEXT, prompt_tokens=16)
NORMALIZE = {"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"}
FORMS = {
    "mean, unit": ("mean_tokens", True),
    "cls": ("cls_token", False),
    "nothing said": (None, False),
}


def sentence_files(folder: Path, pooling: str, normalised: bool, **config: object) -> None:
    """The files of Sentence Transformers, as its models have them."""
    modules = [
        {"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
        *([NORMALIZE] if normalised else []),
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    names = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    flags = {f"pooling_mode_{name}": name == pooling for name in names}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 64, **flags}))
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A random BertModel in Hugging Face layout."""
    torch.set_num_threads(1)
    tokenizer = train_tokenizer(neutral_texts(), 600, specials=ENCODER_SPECIALS)
    shape = EncoderShape(hidden=64, layers=2, heads=2, ffn=128, vocab=tokenizer.vocab_size, context=CONTEXT)
    folder = tmp_path_factory.mktemp("plain") / "minnow"
    encoder_from_scratch(shape, 5, "masked-tokens", init_std=0.1).bert.save_pretrained(folder)
    tokenizer.save(folder)
    return folder


@pytest.fixture(params=FORMS)
def encoder(request, plain, tmp_path) -> tuple[Path, str, bool]:
    """The folder with what it says of its vectors; how they are pooled, and whether divided by their lengths."""
    folder = Path(shutil.copytree(plain, tmp_path / "minnow"))
    pooling, normalised = FORMS[request.param]
    if pooling is not None:
        sentence_files(folder, pooling, normalised)
    return folder, pooling or "mean_tokens", normalised


@pytest.fixture(params=sorted(RUNTIMES))
def name(request) -> str:
    return request.param


@pytest.fixture(autouse=True)
def small(monkeypatch):
    extent = Extent(positions=200, rows=16, greedy_prompts=4, greedy_tokens=8, runs=1)
    monkeypatch.setitem(certify_room.EXTENTS, "quick", extent)


def dressed(folder: Path, out: Path) -> Path:
    return dressed_encoder(folder, out, "minnow", lambda line: None)


def artifact_of(model: Path, name: str, out: Path) -> Path:
    """The widest format of a runtime, without certificate."""
    out.mkdir()
    file = runtime(name).export(model, formats_of(name)[0].name, out / "model.gguf" if name == "gguf" else out)
    if not (out / "tokenizer.json").exists():
        shutil.copyfile(model / "tokenizer.json", out / "tokenizer.json")
    return file


def by_hand(folder: Path, text: str, pooling: str, normalised: bool) -> np.ndarray:
    """As the cards of such models write it down: states, mean over the mask or the first, F.normalize."""
    from transformers import BertModel

    module = BertModel.from_pretrained(folder).eval()
    tokenizer = TextTokenizer.open(folder)
    marks = [tokenizer.special_id(mark) for mark in ("<|begin|>", "<|end|>")]
    ids = torch.tensor([[marks[0], *tokenizer.encode(text), marks[1]]])
    with torch.no_grad():
        states = module(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        pooled = states[:, 0] if pooling == "cls_token" else states.mean(1)
    return (torch.nn.functional.normalize(pooled, dim=1) if normalised else pooled)[0].numpy()


def test_vectors_are_those_of_torch_alone_and_beside_others(encoder, name, tmp_path):
    folder, pooling, normalised = encoder
    model = dressed(folder, tmp_path / "dressed")
    renderer = ModelFolder(model, TextTokenizer).renderer()
    texts = [text for _, text in compared_texts()[:6]] + ["", "a"]
    rows = [renderer.prompt_ids({"text": text}) for text in texts]
    with FreshEncoder(artifact_of(model, name, tmp_path / "out"), threads=1, context=CONTEXT) as session:
        together = session.vectors(rows)
        alone = np.concatenate([session.vectors([row]) for row in rows])
    assert together.shape == (len(texts), 64)
    np.testing.assert_allclose(together, alone, atol=2e-3)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(vector, by_hand(folder, text, pooling, normalised), atol=2e-3)
    if normalised:
        np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-6)


def test_an_artifact_is_certified_by_its_vectors_and_answers_alone(encoder, name, tmp_path):
    folder, _, normalised = encoder
    model = dressed(folder, tmp_path / "dressed")
    out = tmp_path / "minnow-artifact"
    witness = bare_witness_of(ModelFolder(model, TextTokenizer), CONTEXT)
    weights = {"gguf": "q8_0", "onnx": "int8"}[name]
    certificate = export_certified(model, out, weights, DEVICE, witness)
    assert certificate.status == "certified"
    assert certificate.parity is None
    assert certificate.likeness.texts == len(witness.examples) > 60
    assert 0.999 < certificate.likeness.cosine_least <= certificate.likeness.cosine_mean < 1.0
    assert [gate.name for gate in certificate.gates if "cosine" in gate.name] == ["mean cosine", "least cosine"]
    assert certificate.training_modules == ()
    page = (out / "certificate.html").read_text()
    assert "mean cosine" in page
    broken = certificate.to_json()
    broken["likeness"] = dict.fromkeys(broken["likeness"]) | {"texts": 73, "width": 64, "least_row": "prose:0"}
    assert "mean cosine" in page_of(broken), "what is not finite is null, and the page says so"
    assert "cosine to the original's vectors" in (out / "README.md").read_text()
    assert str(folder) not in (out / "hone.json").read_text(), "folders of this machine are no one else's"
    with hone.load(out) as opened:
        vectors = opened.embed(["a small house", "a large river"])
        assert opened.ask("a small house") == pytest.approx(vectors[0].tolist(), rel=1e-5, abs=1e-6)
        with pytest.raises(InputError, match=r"has [0-9]+ tokens"):
            opened.embed(["house " * 400])
    assert np.linalg.norm(vectors[0]) == pytest.approx(1.0) or not normalised
    check_runners(out)
    again = recertify(out)
    assert again.failures == ()
    assert again.certificate["status"] == "certified"


def check_runners(artifact: Path) -> None:
    """The runners in the folder, which know nothing of hone, give the golden vectors."""
    web = Path(__file__).resolve().parents[2] / "tools" / "web"
    commands = [[sys.executable, str(artifact / "run.py"), "--check"]]
    if (artifact / "model.onnx").is_file() and shutil.which("node") and (web / "node_modules").is_dir():
        commands.append(["node", str(artifact / "run.mjs"), "--check"])
    for command in commands:
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=web)
        assert (run.returncode, run.stdout.strip()) == (0, "0 of 8 golden vectors and 29 texts missed"), run.stderr


def test_golden_vectors_tell_another_model_apart(plain, tmp_path):
    model = dressed(plain, tmp_path / "dressed")
    out = tmp_path / "minnow"
    export_certified(model, out, "fp32", DEVICE, bare_witness_of(ModelFolder(model, TextTokenizer), CONTEXT))
    golden = json.loads((out / "golden.json").read_text())
    assert len(golden["vectors"]) == 8
    assert {len(item["vector"]) for item in golden["vectors"]} == {64}
    with FreshEncoder(out, threads=1, context=CONTEXT) as session:
        assert golden_problems(session, golden) == []
        golden["vectors"][3]["vector"] = golden["vectors"][4]["vector"]
        (problem,) = golden_problems(session, golden)
        golden["vectors"][3]["vector"] = [3 * one for one in session.vectors([golden["vectors"][3]["prompt_ids"]])[0]]
        (longer,) = golden_problems(session, golden)
    assert problem.startswith("row prose:0#4: its vector is ")
    assert longer.startswith("row prose:0#4: its vector is 0.667 of its length off")


@pytest.mark.parametrize("fault", ["pooling", "layers", "length"])
def test_a_fault_is_told_and_nothing_is_made(plain, name, tmp_path, fault):
    from safetensors.numpy import load_file, save_file

    model = dressed(plain, tmp_path / "dressed")
    witness = bare_witness_of(ModelFolder(model, TextTokenizer), CONTEXT)
    spoiled = Path(shutil.copytree(model, tmp_path / "spoiled"))
    if fault != "layers":
        described = json.loads((spoiled / "hone.json").read_text())
        described["renderer"] |= {"pooling": "cls"} if fault == "pooling" else {"normalised": True}
        (spoiled / "hone.json").write_text(json.dumps(described))
    else:
        tensors = load_file(spoiled / "model.safetensors")
        one, other = (f"encoder.layer.{layer}.output.dense.weight" for layer in (0, 1))
        tensors[one], tensors[other] = tensors[other], tensors[one]
        save_file(tensors, spoiled / "model.safetensors")
    said = "the length of a vector differs by" if fault == "length" else "the mean cosine to the original's vectors"
    with pytest.raises(FailedError, match=said):
        export_certified(spoiled, tmp_path / "out" / "minnow", formats_of(name)[1].name, DEVICE, witness)
    assert not (tmp_path / "out" / "minnow").exists()


def test_what_gives_states_or_labels_gives_no_vectors(plain, name, tmp_path):
    file = artifact_of(plain, name, tmp_path / "out")
    with FreshEncoder(file, threads=1, context=CONTEXT) as session:
        with pytest.raises(InputError, match="a state for each token, and no one vector for a text"):
            session.vectors([[2, 3]])
        assert session.embed([[2, 7, 3]])[0].shape == (3, 64)


def test_a_folder_is_read_and_never_written(encoder, tmp_path):
    folder, _, _ = encoder
    before = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    lines: list[str] = []
    source = bare_source(folder, tmp_path, tmp_path / "workbench", lines.append)
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert (source.model / "hone.json").is_file()
    assert "of a text's states" in lines[0] or "the mean of its tokens' states is taken" in lines[0]


# How a folder says it.


def test_the_form_of_published_models_is_read(tmp_path):
    sentence_files(tmp_path, "mean_tokens", True)
    assert (vector_form(tmp_path).pooling, vector_form(tmp_path).normalised) == ("mean", True)
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    assert vector_form(tmp_path).pooling == "cls"
    sentence_files(tmp_path, "mean_tokens", False, prompts={"query": "query: "}, default_prompt_name="query")
    form = vector_form(tmp_path)
    assert (form.normalised, form.before) == (False, "query: ")


def test_what_no_artifact_does_is_refused_all_at_once(tmp_path):
    sentence_files(tmp_path, "max_tokens", True, default_prompt_name="query")
    modules = json.loads((tmp_path / "modules.json").read_text())
    dense = {"type": "sentence_transformers.models.Dense", "path": "3_Dense"}
    (tmp_path / "modules.json").write_text(json.dumps([*modules, dense]))
    with pytest.raises(InputError) as refused:
        vector_form(tmp_path)
    said = str(refused.value)
    assert "Transformer, Pooling, Normalize, Dense" in said
    assert "pooling max_tokens; mean and cls are exported" in said
    assert 'has no prompt "query"' in said


def test_an_encoder_with_a_head_of_nobodys_task_is_refused(plain, tmp_path):
    folder = Path(shutil.copytree(plain, tmp_path / "minnow"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BertForSequenceClassification"]}))
    with pytest.raises(InputError, match="nothing says what its outputs mean"):
        dressed(folder, tmp_path / "dressed")


# What is counted, by hand.


def test_likeness_by_hand():
    ours = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    same = likeness_of(ours, ours, ["a", "b", "c"])
    assert (same.cosine_mean, same.cosine_least, same.largest, same.same_nearest) == pytest.approx((1, 1, 0, 1))
    turned = likeness_of(ours, np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), ["a", "b", "c"])
    assert turned.cosine_mean == pytest.approx((1 + 1 + np.sqrt(0.5)) / 3)
    assert (turned.cosine_least, turned.least_row) == (pytest.approx(np.sqrt(0.5)), "c")
    assert turned.length_apart == pytest.approx(1 - 1 / np.sqrt(18))
    # The third is as near to the first as to the second in the original; the second has no one near any more.
    assert turned.same_nearest_or_tie >= turned.same_nearest


def test_a_vector_that_is_not_finite_breaks_every_gate():
    ours = np.eye(3)
    broken = likeness_of(ours, np.where(ours == 1, np.nan, ours), ["a", "b", "c"])
    gates = gates_of(broken, "q4_0")
    assert (gates["finite"], gates["mean cosine"], gates["least cosine"], gates["length"]) == (False,) * 4


def gates_of(found: Likeness, weights: str) -> dict[str, bool]:
    chosen = weight_format(weights)
    return {gate.name: gate.holds for gate in likeness_gates(found, chosen, chosen.bounds)}


CLOSE = 5 + np.random.default_rng(1).normal(0, 0.1, (60, 32))
"""Vectors that all lie close together, as those of many encoders do: any two have a cosine over 0.999."""


@pytest.mark.parametrize("weights", ["fp32", "int8", "q5_0", "q4_0"])
def test_vectors_of_other_texts_hold_in_no_format_however_close_all_lie(weights):
    rows = [f"text:{at}" for at in range(60)]
    assert all(gates_of(likeness_of(CLOSE, CLOSE, rows), weights).values())
    turned = likeness_of(CLOSE, np.roll(CLOSE, 1, axis=0), rows)
    assert turned.cosine_mean > 0.999
    assert turned.own_text < 0.1
    assert gates_of(turned, weights)["own text"] is False


@pytest.mark.parametrize("weights", ["fp32", "int8", "q4_0"])
def test_another_length_holds_in_no_format(weights):
    rows = [f"text:{at}" for at in range(60)]
    for other in (3 * CLOSE, CLOSE / np.linalg.norm(CLOSE, axis=1, keepdims=True)):
        gates = gates_of(likeness_of(CLOSE, other, rows), weights)
        assert (gates["mean cosine"], gates["length"]) == (True, False)


def test_fewer_bits_are_asked_no_more_and_every_format_is_asked_something():
    for name in RUNTIMES:
        asked = [least_mean(one) for one in formats_of(name)]
        assert asked == sorted(asked, reverse=True)
    assert {least_mean(one) for one in FORMATS.values()} <= {least for _, least in LEAST_COSINE}


# Served.


@pytest.fixture(scope="module")
def client(plain, tmp_path_factory):
    import httpx

    from hone.deploy.rendering import open_artifact, renderer_of
    from hone.serve.app import create_app
    from hone.serve.server import served

    folder = tmp_path_factory.mktemp("served")
    model = dressed(plain, folder / "dressed")
    file = artifact_of(model, "onnx", folder / "minnow")
    (file.parent / "hone.json").write_text(json.dumps(described(model, file)))
    session = open_artifact(file.parent)
    with served(create_app(session, renderer_of(session), "minnow")) as address, httpx.Client(base_url=address) as http:
        yield SimpleNamespace(post=http.post, session=session, renderer=renderer_of(session))
    session.close()


def described(model: Path, file: Path) -> dict[str, object]:
    from hone.deploy.artifact.describing import About, Origin, description

    return description(model, file.parent, About(runtime="onnx", weights="fp32", how="", origin=Origin()))


def test_vectors_are_served_as_openais_clients_read_them(client):
    texts = ["a small house", "a large river"]
    answer = client.post("/v1/embeddings", json={"input": texts, "model": "minnow"}).json()
    expected = client.session.vectors([client.renderer.prompt_ids({"text": text}) for text in texts])
    assert [one["index"] for one in answer["data"]] == [0, 1]
    np.testing.assert_allclose([one["embedding"] for one in answer["data"]], expected, atol=1e-6)
    read = sum(len(client.renderer.prompt_ids({"text": text})) for text in texts)
    assert answer["usage"] == {"prompt_tokens": read, "total_tokens": read}
    packed = client.post("/v1/embeddings", json={"input": texts[0], "encoding_format": "base64"}).json()
    numbers = np.frombuffer(base64.b64decode(packed["data"][0]["embedding"]), dtype="<f4")
    np.testing.assert_allclose(numbers, expected[0], atol=1e-6)


def test_other_wishes_are_refused_with_the_reason(client):
    written = client.post("/v1/completions", json={"prompt": "a"})
    assert (written.status_code, "POST /v1/embeddings" in written.text) == (400, True)
    wrong = client.post("/v1/embeddings", json={"input": [], "dimensions": 8, "encoding_format": "hex"})
    assert wrong.status_code == 400
    for part in ("dimensions", "encoding_format", "input"):
        assert part in wrong.text
    assert client.post("/v1/embeddings", json={"input": "a", "model": "other"}).status_code == 404
