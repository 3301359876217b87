"""The runners that travel with an artifact, put together from pieces: what its kind and runtime need, nothing else.

A piece is a source file of ``runners/``. Its class is the one of the file that it goes into; its methods stand there
in the place of the line :data:`PLACE`. A piece's first line says what it is, and stays behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hone.deploy.artifact.folder import holds_encoder, predicts_words
from hone.task.conversation import form_of

PIECES = Path(__file__).parent / "runners"
PAGE = "index.html"
PLACE = re.compile(r"\n\n +(?:#|//) The methods of this .* stand here\.")
_CLASS = re.compile(r"^(?:export )?class \w+.*\n", re.MULTILINE)
_IMPORT = re.compile(r"^(?:import|from) .*\n", re.MULTILINE)
_ANNOTATIONS = "from __future__ import annotations\n\n"
"""Which every source file here begins with, and no runner has a use for."""
_STANDARD = re.compile(r"(?:^(?:import|from) (?!__future__|check ).*\n)+", re.MULTILINE)
_BETWEEN = {".py": "\n\n", ".mjs": "\n"}
_PACKAGES = {"gguf": "tokenizers xllamacpp", "onnx": "tokenizers numpy onnxruntime"}
_NEEDS = {
    "gguf": "It asks llama.cpp's server at http://127.0.0.1:8080, or at the address behind the prompt:\nCOMMAND",
    "onnx": "npm install onnxruntime-node (or onnxruntime-web), beside this file or in the folder where you call it",
}
_ANSWERS = {
    "extract": ("writing", "extract"),
    "generate": ("writing", "generate"),
    "language-model": ("writing", "continue"),
    "classify": ("labels", "classify"),
    "multi-label": ("labels", "multi_label"),
    "tag": ("tags", "tag"),
    "embed": ("vectors", ""),
}
"""What the model of a kind gives, and how an answer is made of it: names of pieces, in both languages."""
_HEADS = {"mean": ["llama_head", "llama_mean"], "tokens": ["llama_head", "llama_tags"]}
"""Of encoders whose head llama.cpp has no place for, by its pooling; see :mod:`hone.deploy.gguf.encoder`."""
_UBATCH = 512
"""Tokens that llama-server computes at once unless it is told otherwise; an encoder reads a text in one piece."""


def runner_files(hone: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> dict[str, str]:
    """Names and texts of an artifact's runners; none of masked words, which answer no prompt.

    Args:
        hone: the artifact's ``hone.json``.
        tokenizer: its ``tokenizer.json``.
    """
    if not has_runners(hone):
        return {}
    runtime, gives = hone["runtime"], _ANSWERS[hone["kind"]][0]
    told = {"RUNTIME": runtime, "PACKAGES": packages(hone), "NEEDS": _NEEDS[runtime]}
    told["COMMAND"] = server_command(hone)
    told["IMPORTS"] = ", runtimeOfNode" if runtime == "onnx" else ""
    made = {"tokenizer.mjs": javascript_tokenizer(tokenizer)}
    for language, suffix in (("python", ".py"), ("javascript", ".mjs")):
        checks = [f"check_{gives}", *(["check_onnx"] if runtime == "onnx" and suffix == ".mjs" else [])]
        made[f"check{suffix}"] = _joined(language, "check", checks, suffix)
        made[f"run{suffix}"] = _joined(language, "run", _pieces(hone), suffix)
        for word, text in told.items():
            made[f"run{suffix}"] = made[f"run{suffix}"].replace(word, text)
    return made | ({PAGE: (PIECES / PAGE).read_text(encoding="utf-8")} if runtime == "onnx" else {})


def has_runners(hone: Mapping[str, Any]) -> bool:
    """Whether runners travel with an artifact."""
    return not predicts_words(hone)


def packages(hone: Mapping[str, Any]) -> str:
    """What ``run.py`` of an artifact needs of PyPI."""
    return _PACKAGES[hone["runtime"]]


def server_command(hone: Mapping[str, Any]) -> str:
    """What starts llama.cpp's own server for an artifact's ``run.mjs``."""
    if not holds_encoder(hone):
        return "llama-server -m model.gguf"
    longest = hone["context"]
    return "llama-server -m model.gguf --embeddings" + (f" -b {longest} -ub {longest}" if longest > _UBATCH else "")


def javascript_tokenizer(tokenizer: Mapping[str, Any]) -> str:
    """The JavaScript that reads a ``tokenizer.json``: WordPiece, byte-level BPE or SentencePiece's."""
    if tokenizer["model"]["type"] == "WordPiece":
        pieces = ["tokenizer_words"]
    else:
        before = tokenizer.get("pre_tokenizer") or {}
        steps = [one["type"] for one in before.get("pretokenizers", [before]) if one]
        pieces = ["merging", "tokenizer_bytes" if "ByteLevel" in steps else "tokenizer_pieces"]
    return _joined("javascript", "tokenizer", pieces, ".mjs")


def _pieces(hone: Mapping[str, Any]) -> list[str]:
    """The pieces of ``run.py`` and ``run.mjs``: of the prompt, the runtime and the answer."""
    renderer, (gives, answer) = hone["renderer"] or {}, _ANSWERS[hone["kind"]]
    prompt = "prompt_text" if form_of(renderer.get("input")) is None else "prompt_turns"
    if hone["runtime"] == "gguf" and "marks" in renderer:
        head = ["llama_vectors"] if gives == "vectors" else _HEADS.get(hone.get("head", {}).get("pooling"))
        runtime = ["llama", "llama_encoder", *(head or ["llama_rank"])]
    elif hone["runtime"] == "gguf":
        runtime = ["llama", "llama_decoder", f"llama_{gives}"]
    elif "marks" in renderer:
        runtime = ["onnx", "onnx_encoder", "onnx_vectors" if gives == "vectors" else "onnx_logits"]
    else:
        runtime = ["onnx", "onnx_decoder", f"onnx_{gives}"]
    return [prompt, *runtime, *(["writing"] if gives == "writing" else []), *([answer] if answer else [])]


def _joined(language: str, name: str, pieces: Iterable[str], suffix: str) -> str:
    """A file with the pieces in it."""
    folder = PIECES / language
    text = (folder / f"{name}{suffix}").read_text(encoding="utf-8")
    for one in pieces:
        text = _with_piece(text, (folder / f"{one}{suffix}").read_text(encoding="utf-8"), suffix)
    return PLACE.sub("", text).replace(_ANNOTATIONS, "", 1)


def _with_piece(text: str, piece: str, suffix: str) -> str:
    """A file with one piece more: imports among its own, constants before its class, methods in it, a function last."""
    piece = piece.partition("\n")[2]
    text = _importing(text, _IMPORT.findall(piece))
    piece = _IMPORT.sub("", piece)
    opened = _CLASS.search(piece)
    if opened is None:
        return f"{text}{_BETWEEN[suffix]}{piece.strip()}\n"
    before, methods = piece[: opened.start()].strip(), piece[opened.end() :].rstrip().removesuffix("\n}")
    if before:
        text = _CLASS.sub(lambda own: f"{before}\n\n{own[0]}", text, count=1)
    return PLACE.sub(lambda place: f"\n\n{methods.strip(chr(10))}{place[0]}", text)


def _importing(text: str, imports: Iterable[str]) -> str:
    """A Python file whose imports of the standard library hold these lines too, in the order that linters ask for."""
    wanted = {line for line in imports if "__future__" not in line and not line.startswith("from check ")}
    if not wanted:
        return text
    own = _STANDARD.search(text)
    assert own is not None, "a file that pieces go into has imports of its own"
    lines = sorted({*own[0].splitlines(keepends=True), *wanted}, key=lambda line: (line.startswith("from "), line))
    return text[: own.start()] + "".join(lines) + text[own.end() :]
