"""A small artifact made without torch: random weights, a trained tokenizer, the renderer inside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hone.data.tokenizer import train_tokenizer
from hone.deploy.gguf.decoder import tensor_names
from hone.deploy.gguf.writing import export
from hone.task.conversation import MARKS, form_of
from hone.task.render import SPECIALS, Renderer

CONTEXT = 64
TALK = [
    {"role": "system", "content": "play"},
    {"role": "user", "content": "a song <|end|> in paris"},
    {"role": "assistant", "content": "tomorrow"},
]
Make = Callable[..., Path]


def _shape(name: str, vocab: int) -> tuple[int, ...]:
    sizes = {"embed_tokens": (vocab, 32), "gate_proj": (64, 32), "up_proj": (64, 32), "down_proj": (32, 64)}
    return next((size for part, size in sizes.items() if part in name), (32,) if "norm" in name else (32, 32))


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes an artifact for a kind of task."""

    def artifact(kind: str, template: Any = "{text}", labels: tuple[str, ...] = ()) -> Path:
        from safetensors.numpy import save_file

        folder = tmp_path_factory.mktemp(kind)
        marks = tuple(MARKS.values()) if form_of(template) is not None else ()
        tokenizer = train_tokenizer(["play a song in paris tomorrow"] * 20, 300, labels, specials=(*SPECIALS, *marks))
        output = {"intent": "{intent}"} if kind == "extract" else "{intent}"
        renderer = Renderer(
            kind=kind, input_template=template, output_template=output, tokenizer=tokenizer, labels=labels
        )
        config = {
            "model_type": "llama",
            "vocab_size": tokenizer.vocab_size,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": CONTEXT,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": True,
        }
        random = np.random.default_rng(0)
        names = tensor_names(config)
        save_file(
            {name: random.normal(0, 0.3, _shape(name, tokenizer.vocab_size)).astype(np.float32) for name in names},
            folder / "model.safetensors",
        )
        (folder / "config.json").write_text(json.dumps(config))
        stored = [renderer.stored_example("r:1", {"messages": TALK})] if renderer.conversation is not None else []
        (folder / "hone.json").write_text(json.dumps({"renderer": renderer.to_json(), "examples": stored}))
        tokenizer.save(folder)
        return export(folder, "f32", folder / f"{kind}.gguf")

    return artifact
