"""Adapters through both runtimes: what an artifact computes is what PEFT did, and soft tokens are never written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))
import adapter_bases as made

from hone.deploy.certificate.original import original_of
from hone.deploy.certificate.witness import Witness
from hone.deploy.rendering import open_artifact
from hone.deploy.runtime import runtime
from hone.errors import InputError
from hone.evaluate.generate import Sampling
from hone.model.adapters import adapted, base_of, read_adapter
from hone.model.folder import ModelFolder
from hone.solving.bare import bare_source, is_bare_model
from hone.task.soft_prompt import MASKED_LOGIT

pytest.importorskip("xllamacpp")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.filterwarnings(*made.PEFT_SAYS)
NODE, WEB = shutil.which("node"), Path(__file__).parents[2] / "tools" / "web"
RUNTIMES = {"gguf": "f32", "onnx": "fp32"}
IDS = [5, 17, 60, 101, 7, 250, 33]
COUNT = 5


def lora() -> Any:
    return peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=made.LINEAR, use_dora=True)


def prompt_tuning() -> Any:
    return peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=COUNT)


class Tuned:
    """An adapter, PEFT's own model with it, and the plain model folder that it became."""

    def __init__(self, folder: Path, config: Any, **base: Any) -> None:
        where = made.base_folder(folder / "base", **base)
        self.adapter, self.attached = made.adapter_folder(folder / "adapter", where, config)
        found = read_adapter(self.adapter)
        reference, path = base_of(found)
        adapted(found, path, folder / "model", made.wrap, reference)
        self.model = ModelFolder(folder / "model", made.wrap)
        self.rows = json.loads((where / "config.json").read_text())["vocab_size"]
        self.soft = list(self.model.renderer().soft_prompt)


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    return Tuned(tmp_path_factory.mktemp("merged"), lora(), tied=False, model_type="qwen3")


@pytest.fixture(scope="module", params=["tied", "untied"])
def tuned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    shape = {"tied": {}, "untied": {"tied": False, "spare": 3, "model_type": "qwen3"}}[request.param]
    return Tuned(tmp_path_factory.mktemp(request.param), prompt_tuning(), **shape)


def opened(one: Tuned, name: str, out: Path, weights: str = "") -> Any:
    file = runtime(name).export(one.model.path, weights or RUNTIMES[name], out / f"model{runtime(name).suffix}")
    return open_artifact(file, context=64, parallel=2)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_merged_adapter_computes_what_peft_did(merged: Tuned, tmp_path: Path, name: str) -> None:
    session = opened(merged, name, tmp_path)
    expected = made.logits_of(merged.attached, IDS).log_softmax(-1).numpy()
    assert np.abs(session.logprobs([IDS])[0] - expected).max() <= 1e-4
    session.close()


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_soft_prompt_computes_what_peft_did_and_takes_no_probability(tuned: Tuned, tmp_path: Path, name: str) -> None:
    session = opened(tuned, name, tmp_path)
    expected = made.logits_of(tuned.attached, IDS).log_softmax(-1).numpy()
    (found,) = session.logprobs([[*tuned.soft, *IDS]])
    assert np.abs(found[:, : tuned.rows] - expected).max() <= 1e-4
    assert np.isfinite(found).all()
    assert (found[:, tuned.rows :] < 0.9 * MASKED_LOGIT).all()
    last = session.next_logprobs([*tuned.soft, *IDS])
    assert (last[tuned.rows :] < 0.9 * MASKED_LOGIT).all()
    assert np.abs(session.label_logprobs([[*tuned.soft, *IDS]], [3, 4])[0] - expected[-1, [3, 4]]).max() <= 1e-4
    session.close()


@pytest.mark.parametrize("name", RUNTIMES)
def test_no_sampling_ever_writes_a_soft_token(tuned: Tuned, tmp_path: Path, name: str) -> None:
    session = opened(tuned, name, tmp_path)
    prompt, written = [*tuned.soft, *IDS], set()
    for seed in range(12):
        # So hot that all ids are about as likely: each of 40 steps would write one of 5 in 300 otherwise.
        hot = Sampling(temperature=1e4, seed=seed)
        written |= set(session.stream(prompt, max_new_tokens=40, end_id=-1, sampling=hot))
        written |= set(session.generate([prompt], max_new_tokens=40, end_id=-1, sampling=hot)[0].ids)
    assert len(written) > 200
    assert written.isdisjoint(tuned.soft)
    session.close()


@pytest.fixture
def eager(tmp_path: Path) -> Path:
    """A soft prompt whose tokens would win: each row is another's tenfold, so that its logit is tenfold too."""
    from safetensors.torch import save_file

    base = made.base_folder(tmp_path / "base")
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, prompt_tuning())
    table = ModelFolder(base, made.wrap).load().get_input_embeddings().weight.detach()
    save_file({"prompt_embeddings": 10 * table[20 : 20 + COUNT]}, adapter / "adapter_model.safetensors")
    adapted(read_adapter(adapter), base, tmp_path / "model", made.wrap, str(base))
    return tmp_path / "model"


def eager_rows(folder: Path) -> list[list[int]]:
    """Prompts after many of which a soft token would be written, were it not masked."""
    model = ModelFolder(folder, made.wrap).load()
    soft = list(ModelFolder(folder, made.wrap).renderer().soft_prompt)
    model.get_output_embeddings()._forward_hooks.clear()
    rows = [[*soft, first] for first in range(40, 60)]
    assert sum(int(made.logits_of(model, row)[-1].argmax()) in soft for row in rows) > 5
    return rows


def llama_server(file: Path) -> Any:
    """llama.cpp's own server over a file; it ends with the object."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel = str(file), 64, 1
    params.verbosity, params.fit_params, params.ui = -1, False, False
    return xllamacpp.Server(params)


def test_llama_cpps_own_server_masks_by_the_file_alone(eager: Path, tmp_path: Path) -> None:
    server = llama_server(runtime("gguf").export(eager, "f32", tmp_path / "model.gguf"))
    rows = eager_rows(eager)

    def answer(prompt: list[int], **more: Any) -> list[int]:
        body = {"prompt": prompt, "n_predict": 1, "temperature": 0, "cache_prompt": False, "return_tokens": True}
        address, head = server.listening_address + "/completion", {"Content-Type": "application/json"}
        request = urllib.request.Request(address, json.dumps({**body, **more}).encode(), head)
        with urllib.request.urlopen(request) as response:
            return list(json.loads(response.read())["tokens"])

    assert {one for row in rows for one in answer(row)}.isdisjoint(rows[0][:-1])


def test_genai_masks_by_the_graph_alone(eager: Path, tmp_path: Path) -> None:
    genai = pytest.importorskip("onnxruntime_genai")
    file = runtime("onnx").export(eager, "fp32", tmp_path / "onnx")
    opened, session = genai.Model(str(file.parent)), open_artifact(file, context=64)
    for row in eager_rows(eager)[:5]:
        params = genai.GeneratorParams(opened)
        params.set_search_options(max_length=len(row) + 1, min_length=len(row) + 1)
        generator = genai.Generator(opened, params)
        generator.append_tokens(np.asarray(row, np.int32))
        generator.generate_next_token()
        (ours,) = session.generate([row], max_new_tokens=1, end_id=-1)
        assert generator.get_sequence(0).tolist()[len(row) :] == list(ours.ids)
        assert set(ours.ids).isdisjoint(row[:-1])
    session.close()


@pytest.mark.parametrize("name", RUNTIMES)
def test_the_runners_in_an_artifacts_folder_put_it_in_front(
    uncertified: Any, eager: Path, tmp_path: Path, name: str
) -> None:
    model = ModelFolder(eager, made.wrap)
    witness = Witness(renderer=model.renderer(), examples=(), original=original_of(model.load()), max_new_tokens=12)
    artifact = uncertified(eager, f"eager-{name}", RUNTIMES[name], witness)
    golden = json.loads((artifact / "golden.json").read_text())
    soft = list(model.renderer().soft_prompt)
    assert [one["prompt_ids"][:COUNT] for one in golden["vectors"]] == [soft] * 8
    commands = [[sys.executable, str(artifact / "run.py"), "--check"]]
    server = llama_server(artifact / "model.gguf") if name == "gguf" else None
    if NODE is not None and (server is not None or (WEB / "node_modules").is_dir()):
        commands.append([NODE, str(artifact / "run.mjs"), "--check", *([server.listening_address] if server else [])])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=WEB)
        assert (done.returncode, done.stdout.strip()) == (0, "0 of 8 golden vectors and 29 texts missed"), done.stderr


def test_the_file_says_which_tokens_they_are(tuned: Tuned, tmp_path: Path) -> None:
    import gguf

    reader = gguf.GGUFReader(runtime("gguf").export(tuned.model.path, "f32", tmp_path / "model.gguf"))
    assert reader.fields["tokenizer.ggml.suppress_tokens"].contents() == tuned.soft
    kinds = reader.fields["tokenizer.ggml.token_type"].contents()
    assert {kinds[one] for one in tuned.soft} == {int(gguf.TokenType.CONTROL)}


@pytest.mark.parametrize(("name", "weights"), [("gguf", "q8_0"), ("onnx", "int8")])
def test_rounded_weights_mask_too(tmp_path: Path, name: str, weights: str) -> None:
    tuned = Tuned(tmp_path, prompt_tuning())
    session = opened(tuned, name, tmp_path, weights)
    (found,) = session.logprobs([[*tuned.soft, *IDS]])
    assert (found[:, tuned.rows :] < 0.9 * MASKED_LOGIT).all()
    session.close()


def test_a_base_without_a_task_is_continued_behind_the_soft_prompt(tmp_path: Path) -> None:
    base = made.base_folder(tmp_path / "base")
    (base / "hone.json").unlink()
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, prompt_tuning())
    (tmp_path / "bench").mkdir()
    said: list[str] = []
    assert is_bare_model(adapter)
    source = bare_source(adapter, None, tmp_path / "bench", said.append)
    model = ModelFolder(source.model, made.wrap)
    soft = list(model.renderer().soft_prompt)
    assert len(soft) == COUNT
    assert all(one["ids"][:COUNT] == soft for one in model.hone["examples"])
    assert all(len(one["ids"]) <= source.order["device"].context for one in model.hone["examples"])
    assert source.stem == "adapter"
    assert "5 vectors are tokens" in said[0]


def test_prefix_tuning_ends_before_anything_is_computed(tmp_path: Path) -> None:
    base = made.base_folder(tmp_path / "base")
    config = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    adapter, _ = made.adapter_folder(tmp_path / "adapter", base, config)
    with pytest.raises(InputError, match="PREFIX_TUNING: its keys and values of every layer cannot be written as tok"):
        bare_source(adapter, None, tmp_path, lambda line: None)


@pytest.mark.slow
def test_hone_export_makes_certified_artifacts_of_adapters(tmp_path: Path) -> None:
    import hone
    from hone.cli import main

    base = made.base_folder(tmp_path / "base")
    made.adapter_folder(tmp_path / "merged", base, lora())
    made.adapter_folder(tmp_path / "tuned", base, prompt_tuning())
    out = tmp_path / "artifacts"
    for adapter, weights in (("merged", "f32"), ("tuned", "f32,fp32")):
        words = ["--to", "gguf,onnx" if "," in weights else "gguf", "--weights", weights, "--out", str(out), "--quiet"]
        assert main(["export", str(tmp_path / adapter), *words]) == 0
    for artifact in sorted(out.iterdir()):
        told = json.loads((artifact / "certificate.json").read_text())
        said = json.loads((artifact / "hone.json").read_text())
        golden = json.loads((artifact / "golden.json").read_text())
        assert told["status"] == "certified"
        assert said["lineage"]["adapter"]["type"] in (artifact / "README.md").read_text()
        soft = said["renderer"].get("soft_prompt", [])
        assert len(soft) == (COUNT if artifact.name.startswith("tuned") else 0)
        assert any("the original is the base with the" in line for line in told["notes"])
        assert ("suppress_tokens" in (artifact / "README.md").read_text()) == (bool(soft) and "gguf" in artifact.name)
        assert all(one["prompt_ids"][: len(soft)] == soft for one in golden["vectors"])
        with hone.load(artifact) as model:
            asked, limit = golden["vectors"][0], golden["max_new_tokens"]
            prompt = model.renderer.prompt_ids(asked["given"])
            assert prompt == asked["prompt_ids"]
            (answer,) = model.session.generate([prompt], max_new_tokens=limit, end_id=golden["end_id"])
            assert list(answer.ids[: asked["sure"]]) == asked["ids"][: asked["sure"]]


def test_an_encoder_without_a_head_keeps_its_vectors_with_the_adapter(tmp_path: Path) -> None:
    import torch
    from transformers import BertModel

    base = made.encoder_folder(tmp_path / "labels")
    (base / "hone.json").unlink()
    module = BertModel.from_pretrained(base, add_pooling_layer=False)
    module.save_pretrained(tmp_path / "base")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(base / name, tmp_path / "base" / name)
    config = peft.LoraConfig(task_type="FEATURE_EXTRACTION", r=4, target_modules=["query", "value"])
    adapter, attached = made.adapter_folder(tmp_path / "adapter", tmp_path / "base", config, auto="")
    (tmp_path / "bench").mkdir()
    source = bare_source(adapter, None, tmp_path / "bench", lambda line: None)
    file = runtime("onnx").export(source.model, "fp32", tmp_path / "onnx")
    session = runtime("onnx").open_encoder(file, 1, 64)
    ids = [1, 40, 41, 42, 3]
    with torch.no_grad():
        expected = attached(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
        before = module(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
    (found,) = session.embed([ids])
    assert np.abs(found - expected).max() <= 1e-4
    assert np.abs(found - before).max() > 1e-2
    session.close()
