"""``hone.json`` of an artifact: what an application needs beside the model file, and where the model comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hone.deploy.artifact.folder import FORMAT, UNHASHED, model_file
from hone.deploy.decoders import ARCHITECTURES, decoder_shape
from hone.deploy.encoders import ARCHITECTURES as ENCODERS
from hone.deploy.gguf.encoder import encoder_layout, head_keys
from hone.deploy.tensors import Tensors
from hone.files import file_hash, read_json
from hone.task.conversation import MARKS, form_of
from hone.task.render import ANSWER, BEGIN, END, PAD, label_token
from hone.task.templates import parts

SCRATCH = "scratch"
_ROLES = {"pad": PAD, "begin": BEGIN, "answer": ANSWER, "end": END}


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a model comes from, as far as its folder does not say so itself."""

    run: str = ""
    """Name of the run's folder."""
    base: Mapping[str, Any] = field(default_factory=dict)
    """The base's own identity: reference and hashes; its licence under ``licence`` where its files state one."""
    data_licences: Mapping[str, int] = field(default_factory=dict)
    """Licences that the data's own columns state, with rows."""
    tested: Mapping[str, Any] | None = None
    """What this model scored on the sealed test, where it was; see :func:`hone.deploy.artifact.card.add_test`."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema of the answers (extract)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What was chosen for one artifact."""

    runtime: str
    weights: str
    how: str
    """How weights were prepared, see :class:`hone.deploy.weights.Prepared`; "" is plain rounding."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Matrices that are stored in a kind of their own."""
    origin: Origin


def description(model: Path, folder: Path, about: About) -> dict[str, Any]:
    """The content of ``hone.json`` for an artifact whose other files lie in ``folder`` already.

    Args:
        model: the model folder that it was made from.
        folder: the artifact.
        about: what was chosen for it.
    """
    origin = about.origin
    config, tokenizer = read_json(model / "config.json"), read_json(model / "tokenizer.json")
    known = read_json(model / "hone.json") if (model / "hone.json").is_file() else {}
    renderer = known.get("renderer")
    ids = special_ids(renderer or {}, tokenizer)
    labels = list((renderer or {}).get("labels", ()))
    choosing = {key: value for key, value in (renderer or {}).items() if key in ("temperature", "threshold")}
    context = int(config["max_position_embeddings"])
    base = {"name": base_name(str(known.get("base", ""))), **origin.base}
    return {
        "format": FORMAT,
        "runtime": about.runtime,
        "weights": about.weights,
        "prepared": about.how,
        **({"kinds": dict(about.kinds)} if about.kinds else {}),
        "kind": known.get("kind", "language-model"),
        "task": known.get("task", ""),
        "renderer": renderer,
        "prompt": prompt_of(known.get("kind", "language-model"), renderer or {}, ids, context),
        "ids": ids,
        "stop_ids": [ids["end"]] if "end" in ids else [],
        "labels": labels,
        **choosing,
        **_head(config, model, about.runtime),
        "schema": None if origin.schema is None else dict(origin.schema),
        "context": context,
        "vocab_size": int(config["vocab_size"]),
        **_cache(config),
        "examples": known.get("examples", []),
        "base": base,
        "licence": licence_of(base),
        "lineage": {
            "run": origin.run,
            "recipe": known.get("recipe", ""),
            "data": known.get("data", ""),
            "data_licences": dict(origin.data_licences),
            **({"adapter": known["adapter"]} if "adapter" in known else {}),
            "model": known.get("hashes", {}),
        },
        "hashes": {
            "model": file_hash(model_file(folder)),
            "tokenizer": file_hash(model / "tokenizer.json"),
            "config": file_hash(model / "config.json"),
        },
        "files": {
            file.relative_to(folder).as_posix(): file_hash(file)
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file.name not in UNHASHED
        },
    }


def _cache(config: Mapping[str, Any]) -> dict[str, Any]:
    """The shape of a decoder's cache of keys and values: each layer's is (1, heads, seen, width)."""
    if config.get("model_type") not in ARCHITECTURES:
        return {}
    shape = decoder_shape(config)
    return {"cache": {"layers": shape.layers, "heads": shape.kv_heads, "width": shape.head_width}}


def _head(config: Mapping[str, Any], model: Path, runtime: str) -> dict[str, Any]:
    """An encoder's head where llama.cpp has no place for it: ``pooling``, ``weight`` and ``bias`` as in the file."""
    if runtime != "gguf" or config.get("model_type") not in ENCODERS:
        return {}
    tensors = Tensors(model)
    stored = head_keys(config, encoder_layout(config, tensors.shapes), tensors).get("hone.head")
    return {"head": json.loads(stored)} if stored else {}


def special_ids(renderer: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """Ids of what the renderer writes besides text: ``pad``, ``begin``, ``answer``, ``end``, ``labels``, ``roles``."""
    by_name = {entry["content"]: int(entry["id"]) for entry in tokenizer.get("added_tokens", ())}
    marks = renderer.get("marks", renderer.get("continues"))
    names = _ROLES if marks is None else marks
    ids: dict[str, Any] = {role: by_name[name] for role, name in names.items() if name in by_name}
    if marks is None and renderer.get("labels"):
        ids["labels"] = [by_name[label_token(label)] for label in renderer["labels"]]
    if roles := {role: by_name[mark] for role, mark in MARKS.items() if mark in by_name}:
        ids["roles"] = {**roles, "assistant": ids["answer"]}
    return ids


def prompt_of(kind: str, renderer: Mapping[str, Any], ids: Mapping[str, Any], context: int) -> dict[str, Any]:
    """A prompt as a runner makes it, without reading templates.

    ``before`` and ``after`` are ids around it, ``most`` how many ids it may have in all. Between them stands one text,
    as parts that are texts or ``{"column": name}``; of conversations turns, whose oldest leave while they take more
    than ``room`` ids (None: none leaves).
    """
    template, encoder = renderer.get("input"), "marks" in renderer
    before = list(renderer.get("soft_prompt") or ())
    if encoder or (kind == "language-model" and "begin" in ids):
        before.append(ids["begin"])
    after = [ids["end"]] if encoder else [] if kind == "language-model" else [ids["answer"]]
    most = context if encoder else context - 1  # a decoder writes one more
    around = {"before": before, "after": after, "most": most}
    if (form := form_of(template)) is not None:
        room = None if form.longest is None else form.longest - 1 - int(renderer.get("longest_answer", 0))
        return {**around, "room": room}
    if kind == "language-model":
        return {**around, "text": [{"column": "text"}]}
    lines = template if isinstance(template, list) else [{"role": "", "content": template}]
    text: list[Any] = [] if encoder else [" "]
    for number, line in enumerate(lines):
        text.append(("\n" if number else "") + (f"{line['role']}: " if line["role"] else ""))
        for literal, column in parts(line["content"]):
            text += [literal, *([] if column is None else [{"column": column}])]
    return {**around, "text": [part for part in text if part]}


def base_name(reference: str) -> str:
    """A base as others may read it: of a folder of this machine its last part alone."""
    here = reference.startswith((".", "/", "~")) or (reference and Path(reference).expanduser().exists())
    return Path(reference).name if here else reference


def licence_of(base: Mapping[str, Any]) -> str:
    """The licence that the base's files state; a sentence where there is no base, or it states none."""
    if str(base.get("name", "")).partition(":")[0] in ("", SCRATCH):
        return "weights trained from nothing: yours, as far as the licences of the data let them be"
    return str(base.get("licence") or "not stated by the base's files; look it up before you pass the model on")
