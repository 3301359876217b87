"""The runners of encoders: in every runtime and both languages they give the golden vectors, and see a wrong one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hone.deploy.artifact.assembling import server_command
from hone.deploy.certificate.witness import Witness
from hone.files import file_hash

pytest.importorskip("xllamacpp")
NODE = shutil.which("node")
WEB = Path(__file__).resolve().parents[2] / "tools" / "web"
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")
KINDS: dict[str, dict[str, Any]] = {
    "classify": {"kind": "classify"},
    "classify, the mean of all states": {"kind": "classify", "pooling": "mean"},
    "multi-label": {"kind": "multi-label"},
    "tag": {"kind": "tag"},
    "embed": {"kind": "embed", "pooling": "mean", "normalised": True},
    "embed, lengths as they are": {"kind": "embed"},
}
PASSED = (0, "0 of 8 golden vectors and 29 texts missed")


@pytest.fixture(scope="module")
def artifacts(plain_encoder, uncertified) -> Callable[[str, str], Path]:
    """The artifact of a kind in a weight format, made when it is first asked for."""

    @cache
    def artifact(kind: str, weights: str) -> Path:
        folder, renderer = plain_encoder(**KINDS[kind])
        made: Path = uncertified(folder, "toy", weights, Witness(renderer=renderer, examples=(), original=None))
        return made

    return artifact


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """llama.cpp's server, by the options that the artifact names; the one in the wheel speaks llama-server's."""
    import xllamacpp

    assert server_command(json.loads((folder / "hone.json").read_text())) == "llama-server -m model.gguf --embeddings"
    params = xllamacpp.CommonParams()
    params.model.path, params.embedding = str(folder / "model.gguf"), True
    params.verbosity, params.fit_params, params.ui = -1, False, False
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


def ran(*command: str, cwd: Path = WEB) -> tuple[int, str]:
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=cwd)
    assert run.returncode in (0, 1), run.stderr
    return run.returncode, run.stdout.strip()


def spoiled(folder: Path, out: Path) -> Path:
    """The artifact with one golden answer that its model does not give."""
    copied = Path(shutil.copytree(folder, out))
    golden = json.loads((copied / "golden.json").read_text())
    item = golden["vectors"][3]
    if "tags" in item:
        item["tags"][0] = (item["tags"][0] + 1) % 3
    else:
        answer = item.get("shares") or item["vector"]
        answer[0] += 0.9 if answer[0] < 0.5 else -0.9
    (copied / "golden.json").write_text(json.dumps(golden))
    said = json.loads((copied / "hone.json").read_text())
    said["files"]["golden.json"] = file_hash(copied / "golden.json")
    (copied / "hone.json").write_text(json.dumps(said))
    return copied


def misses_the_wrong_one(found: tuple[int, str]) -> bool:
    status, said = found
    lines = said.splitlines()
    return status == 1 and lines[0].startswith("row dev:3: ") and lines[1:] == [PASSED[1].replace("0", "1", 1)]


@pytest.mark.parametrize(
    ("kind", "weights"),
    [*((kind, "q8_0") for kind in KINDS), ("classify", "int8"), ("multi-label", "int8"), ("tag", "int8")],
)
def test_python_gives_the_golden_vectors(artifacts, kind, weights):
    assert ran(sys.executable, str(artifacts(kind, weights) / "run.py"), "--check") == PASSED


@needs_node
@pytest.mark.parametrize("kind", KINDS)
def test_javascript_gives_them_over_llama_cpps_own_server(artifacts, tmp_path, kind):
    """And misses a wrong one."""
    folder = artifacts(kind, "q8_0")
    with serving(folder) as address:
        assert ran(str(NODE), str(folder / "run.mjs"), "--check", address) == PASSED
        wrong = spoiled(folder, tmp_path / "wrong") / "run.mjs"
        assert misses_the_wrong_one(ran(str(NODE), str(wrong), "--check", address))


@pytest.mark.parametrize("kind", ["multi-label", "tag", "embed"])
def test_python_misses_a_wrong_one(artifacts, tmp_path, kind):
    wrong = spoiled(artifacts(kind, "q8_0"), tmp_path / "wrong") / "run.py"
    assert misses_the_wrong_one(ran(sys.executable, str(wrong), "--check"))


def test_a_server_is_told_to_read_a_long_text_in_one_piece():
    """llama.cpp's server refuses texts of an encoder that are longer than its physical batch, 512 tokens by itself."""
    hone = {"renderer": {"marks": {}}, "context": 512}
    assert server_command(hone) == "llama-server -m model.gguf --embeddings"
    assert server_command(hone | {"context": 600}) == "llama-server -m model.gguf --embeddings -b 600 -ub 600"
