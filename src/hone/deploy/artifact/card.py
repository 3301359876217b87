"""The model card of an artifact, ``README.md``: what it is, what it scored, where it comes from, how to run it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hone.deploy.artifact.assembling import has_runners, packages, server_command
from hone.deploy.artifact.folder import CARD, CERTIFICATE, HONE_FILE, model_file, predicts_words
from hone.deploy.certificate.document import (
    compared_before,
    read_certificate,
    told_likeness,
    told_score,
    told_status,
    write_certificate,
)
from hone.deploy.certificate.reach import told_longest, told_reach
from hone.files import atomic_write, read_json
from hone.task.embedding import EMBED
from hone.task.scores import Score
from hone.task.soft_prompt import soft_prompt_of

_NAMES = {"gguf": "llama.cpp", "onnx": "ONNX Runtime"}
_UNITS = {
    "size_mb": "size, MB",
    "ram_mb": "memory of the process, MB",
    "first_token_ms": "first token, ms",
    "ms_per_token": "per token, ms",
}


def write_card(folder: Path) -> Path:
    """Write ``README.md`` of an artifact from its ``hone.json`` and, where there is one, its certificate."""
    certificate = read_json(folder / CERTIFICATE) if (folder / CERTIFICATE).is_file() else None
    text = card(folder.name, read_json(folder / HONE_FILE), certificate, model_file(folder))
    return atomic_write(folder / CARD, text)


def add_test(folder: Path, test: Mapping[str, Any]) -> None:
    """Keep in an artifact's certificate and card what its model scored on the sealed test.

    Args:
        folder: the artifact, which has a certificate.
        test: ``score`` (a score's plain values), ``readings`` of that test so far, and ``artifact``, the one scored.
    """
    found = read_certificate(folder)
    if found.get("test") != test:
        write_certificate(folder, {**found, "test": dict(test)})
        write_card(folder)


def card(name: str, hone: Mapping[str, Any], certificate: Mapping[str, Any] | None, file: Path) -> str:
    """The text of the card."""
    runtime = _NAMES.get(hone["runtime"], hone["runtime"])
    what = f"of kind {hone['kind']}" + (f", for the task `{hone['task']}`" if hone["task"] else ", of no task")
    context = f"context {hone['context']:,} tokens"
    size = f"{file.stat().st_size / 1e6:.2f} MB"
    stored = f"weights {hone['weights']}{_prepared(hone)}"
    unjudged = ["It was not certified: nothing here was measured.", ""]
    judged = unjudged if certificate is None else _judged(certificate, name)
    lines = [
        *_front(hone),
        f"# {name}",
        "",
        f"A model {what}: `{file.name}` for {runtime}, {stored}, {size}, {context}.",
        "",
        *judged,
        "## Where it comes from",
        "",
        *_lineage(hone),
        "",
        "## How to run it",
        "",
        *_running(name, hone, file),
        "",
        f"Figures hold for {'rows like those of the task' if hone['task'] else 'plain prose'}; of other text nothing",
        "is known. `golden.json` holds prompts with this artifact's answers: a runner that gives them is right.",
    ]
    return "\n".join(lines) + "\n"


def _front(hone: Mapping[str, Any]) -> Iterator[str]:
    """The head that model hubs read; a licence stands there where the base's files state one."""
    base, stated = str(hone["base"].get("name", "")), str(hone["base"].get("licence") or "")
    yield "---"
    if re.fullmatch(r"[a-z0-9][a-z0-9.-]*", stated):
        yield f"license: {stated}"
    elif stated:
        yield from ("license: other", f"license_name: {json.dumps(stated)}")
    else:
        yield f"# license: {hone['licence']}"
    if base and base.partition(":")[0] != "scratch":
        yield f"base_model: {json.dumps(base)}"
    yield from (f"tags: [hone, {hone['runtime']}, on-device, {hone['kind']}]", "---", "")


def _prepared(hone: Mapping[str, Any]) -> str:
    return f" ({hone['prepared']})" if hone["prepared"] else ""


def _judged(certificate: Mapping[str, Any], name: str = "") -> Iterator[str]:
    yield "## What was measured"
    yield ""
    status = f"`{told_status(certificate)}` by {certificate['runtime']}"
    yield f"- {status} on {certificate['machine']}; every figure is in `{CERTIFICATE}`"
    if before := compared_before(certificate):
        yield f"- {before}"
    if score := certificate.get("score"):
        yield f"- {score['name']} {told_score(certificate)}, by this artifact itself on dev"
    else:
        yield "- not scored on a task"
    if test := certificate.get("test"):
        by = "by this artifact itself" if test["artifact"] == name else f"by {test['artifact']}, of the same model"
        read = f"; that test was read {test['readings']} times" if test["readings"] > 1 else ""
        yield f"- {Score.from_json(test['score'])}, {by} on the sealed test, which nothing was chosen on{read}"
    if parity := certificate.get("parity"):
        diverges = parity["kld_mean"]
        told = "a divergence that is no number" if diverges is None else f"mean divergence {diverges:.2g} nats"
        yield (
            f"- against the model it was made from: {told} over "
            f"{parity['positions']:,} positions, the same likeliest token at {parity['same_top_or_tie']:.2%}"
        )
    if like := told_likeness(certificate):
        yield f"- {like}"
    yield from (f"- {line}" for line in (told_longest(certificate), told_reach(certificate)) if line)
    yield from (f"- {line}" for line in certificate["notes"])
    yield from ("", "| | measured | budget |", "|---|---|---|")
    for figure in certificate["budget"]:
        limit = "none" if figure["limit"] is None else f"{figure['limit']:g}"
        mark = {True: "", False: " (over)", None: " (here, not there)"}[figure["within"]]
        called = _UNITS[figure["name"]]
        if figure["name"] == "first_token_ms" and certificate["kind"] == "encoder":
            called = "a sequence, ms"  # it writes no tokens
        yield f"| {called} | {figure['measured']:.3g}{mark} | {limit} |"
    yield ""


def _lineage(hone: Mapping[str, Any]) -> Iterator[str]:
    lineage, base = hone["lineage"], hone["base"]
    yield f"- base: {base.get('name') or 'not recorded'}; licence: {hone['licence']}"
    if adapter := lineage.get("adapter"):
        yield f"- adapter of it: {adapter['name']} ({adapter['type']}), SHA-256 of its weights `{adapter['weights']}`"
    rows = ", ".join(f"{name} ({count:,} rows)" for name, count in lineage["data_licences"].items())
    yield f"- data version: {lineage['data'] or 'not recorded'}; licences of its rows: {rows or 'no column states one'}"
    yield f"- recipe: {lineage['recipe'] or 'not recorded'}; run: {lineage['run'] or 'not recorded'}"
    yield f"- SHA-256 of the model file: `{hone['hashes']['model']}`"


def _running(name: str, hone: Mapping[str, Any], file: Path) -> Iterator[str]:
    if predicts_words(hone):
        yield f"It answers no prompt. `{file.name}` takes `input_ids` with the mask among them; `logits` are (rows,"
        yield "ids, words), and those at a mask say which word stands there."
        return
    yield "```sh"
    yield f'hone prompt {name} "..."            # or: hone serve {name}'
    if has_runners(hone):
        yield f'pip install {packages(hone)} && python run.py "..."     # without hone; --check tries golden.json'
    if hone["runtime"] == "gguf" and has_runners(hone):
        yield f'{server_command(hone)} & node run.mjs "..."        # JavaScript, over llama.cpp\'s own server'
    if has_modelfile(hone):
        yield f"ollama create {hone['task'] or 'model'} -f Modelfile"
    if hone["runtime"] == "onnx" and has_runners(hone):
        yield 'npm install onnxruntime-node && node run.mjs "..."       # or onnxruntime-web'
        yield "# in a browser: npm's onnxruntime-web/dist beside index.html as ort/, then serve this folder"
    yield "```"
    if soft := soft_prompt_of(hone["renderer"]):
        yield ""
        yield f"Every prompt begins with the ids {soft[0]} to {soft[-1]}, a soft prompt. What is listed above puts them"
        yield "there; any other program has to. " + soft_masked(hone["runtime"])
    if hone["runtime"] == "gguf" and not has_modelfile(hone):
        yield ""
        gives = "vectors" if hone["kind"] == EMBED else "labels"
        yield f"There is no `Modelfile`: it answers with {gives} and not with text, and Ollama's chat gives text alone."


def soft_masked(runtime: str) -> str:
    """What keeps the tokens of a soft prompt from being written, as a sentence."""
    if runtime == "onnx":
        return "The graph masks their logits: they are never written."
    return (
        "The file names them in `tokenizer.ggml.suppress_tokens`, and llama.cpp's samplers never write them since "
        "August 2026; older builds, and programs with samplers of their own, have to mask them."
    )


def has_modelfile(hone: Mapping[str, Any]) -> bool:
    """Whether a model can be asked through Ollama, which gives text and neither labels nor tags."""
    renderer = hone["renderer"] or {}
    return hone["runtime"] == "gguf" and hone["kind"] != "classify" and "marks" not in renderer
