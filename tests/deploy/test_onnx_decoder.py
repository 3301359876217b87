"""Decoders as ONNX: the same numbers as Transformers, for every shape, in our session and in ONNX Runtime GenAI."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hone.data.tokenizer import train_tokenizer
from hone.deploy.hone_keys import hone_keys
from hone.deploy.onnx.session import OnnxSession
from hone.deploy.onnx.writing import export
from hone.errors import InputError

pytest.importorskip("onnxruntime")

CONTEXT = 640
SHAPES = {
    "llama tied, shared heads": ("llama", {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "llama untied": ("llama", {"tie_word_embeddings": False, "rope_theta": 500_000.0}),
    "llama with heads of 8": ("llama", {"num_attention_heads": 8, "num_key_value_heads": 4, "intermediate_size": 172}),
    "qwen3 tied": ("qwen3", {"head_dim": 16, "tie_word_embeddings": True}),
    "qwen3 with heads wider than the stream": ("qwen3", {"head_dim": 32, "num_key_value_heads": 2}),
}


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([f"play the song number {number} in paris" for number in range(100)], 320)


@pytest.fixture(scope="module", params=list(SHAPES))
def model(request, tokenizer, tmp_path_factory):
    """A random module, its folder and its export in fp32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    family, sizes = SHAPES[request.param]
    configure, build = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen3": (Qwen3Config, Qwen3ForCausalLM)}[family]
    plain = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 96}
    torch.set_num_threads(1)
    torch.manual_seed(1)
    config = configure(
        vocab_size=tokenizer.vocab_size,
        num_hidden_layers=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.08,
        **plain | sizes,
    )
    module = build(config).eval()
    for name, values in module.named_parameters():
        if "norm" in name:  # all ones would hide gains in the wrong place
            values.data = 1 + 0.2 * torch.randn_like(values)
    folder = tmp_path_factory.mktemp("decoder")
    module.save_pretrained(folder)
    tokenizer.save(folder)
    return module, folder, export(folder, "fp32", folder / "onnx")


def sequences(tokenizer, count: int, length: int) -> list[list[int]]:
    return np.random.default_rng(2).integers(4, tokenizer.vocab_size, (count, length)).tolist()


def greedy(module, prompt: list[int], new_tokens: int) -> list[int]:
    import torch

    asked = {"max_new_tokens": new_tokens, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    with torch.inference_mode():
        return module.generate(torch.tensor([prompt]), **asked)[0, len(prompt) :].tolist()


def test_log_probabilities_and_greedy_tokens_are_those_of_transformers(model, tokenizer):
    from hone.deploy.certificate.original import torch_logprobs

    module, _, path = model
    session = OnnxSession(path, threads=1, context=CONTEXT, parallel=2)
    # The longest is read in two pieces, the shortest is one token.
    rows = [*sequences(tokenizer, 2, 30), *sequences(tokenizer, 1, 600), [7]]
    for ours, theirs in zip(session.logprobs(rows), torch_logprobs(module, rows), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    prompts = [rows[0], rows[1][:5], [9]]
    found = session.generate(prompts, max_new_tokens=12, end_id=-1)
    assert [list(one.ids) for one in found] == [greedy(module, prompt, 12) for prompt in prompts]
    session.close()


def test_genai_opens_the_folder_and_writes_the_same_tokens(model, tokenizer):
    genai = pytest.importorskip("onnxruntime_genai")
    _, _, path = model
    prompt = sequences(tokenizer, 1, 10)[0]
    opened = genai.Model(str(path.parent))
    params = genai.GeneratorParams(opened)
    params.set_search_options(max_length=22, min_length=22)
    generator = genai.Generator(opened, params)
    generator.append_tokens(np.asarray(prompt, np.int32))
    while not generator.is_done():
        generator.generate_next_token()
    session = OnnxSession(path, threads=1, context=CONTEXT)
    ours = session.generate([prompt], max_new_tokens=12, end_id=-1)[0].ids
    end = tokenizer.special_id("<|end|>")
    assert end not in ours, "min_length keeps GenAI from writing the end, so the comparison needs a prompt without it"
    assert generator.get_sequence(0).tolist()[10:] == list(ours)
    assert genai.Tokenizer(opened).encode("play the song").tolist() == tokenizer.encode("play the song")
    session.close()


def test_the_file_carries_what_a_gguf_file_carries(built, onnx_artifacts):
    import onnxruntime

    path = onnx_artifacts["int8"]
    stored = onnxruntime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map
    assert hone_keys(built.folder, "int8").items() <= stored.items()
    assert json.loads(stored["hone.renderer"]) == built.renderer.to_json()
    assert (path.parent / "tokenizer.json").read_bytes() == (built.folder / "tokenizer.json").read_bytes()


def test_threads_are_those_asked_for(onnx_artifacts):
    path = onnx_artifacts["fp32"]
    before = len(list(Path("/proc/self/task").iterdir()))
    session = OnnxSession(path, threads=3, context=32)
    assert len(list(Path("/proc/self/task").iterdir())) - before == 2, "the caller is the third"
    alone = OnnxSession(path, threads=1, context=32)
    np.testing.assert_allclose(session.next_logprobs([5, 6]), alone.next_logprobs([5, 6]), atol=1e-4)
    session.close()


def test_a_file_that_hone_did_not_write_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [value], [])
    graph.output.append(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1]))
    onnx.save(
        onnx.helper.make_model(graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 21)]),
        tmp_path / "x.onnx",
    )
    with pytest.raises(InputError, match="does not say its context"):
        OnnxSession(tmp_path / "x.onnx", threads=1, context=8)


def run_alone(path: Path, program: str, **environment: str) -> None:
    """Run a program over an artifact in a process of its own; it must succeed and say nothing."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "src"), **environment},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_session_needs_neither_torch_nor_transformers_nor_onnx(onnx_artifacts):
    program = (
        "import sys; from pathlib import Path; from hone.deploy.runtime import runtime\n"
        "session = runtime('onnx').open(Path(sys.argv[1]), 1, 64)\n"
        "session.generate([session.tokenize('play the song')], max_new_tokens=3, end_id=-1)\n"
        "sys.exit(str(sorted({'torch', 'transformers', 'onnx'} & sys.modules.keys()) or '') or 0)"
    )
    for path in (onnx_artifacts["int4"], onnx_artifacts["int4"].parent):
        run_alone(path, program)


def test_nothing_of_telemetry_is_left_on_the_device(onnx_artifacts, tmp_path):
    """Left alone, the runtime writes an identifier of the device and a queue of events into the cache folder."""
    program = (
        "import sys; from pathlib import Path; from hone.deploy.runtime import runtime\n"
        "found = runtime('onnx'); found.ready()\n"
        "found.open(Path(sys.argv[1]), 1, 64).close()\n"
        "found.own_timings(Path(sys.argv[1]), 1, 64, [5, 6, 7], 4)"
    )
    run_alone(onnx_artifacts["fp32"], program, HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    assert list(tmp_path.iterdir()) == []
