"""A small artifact made without torch: random weights, a trained tokenizer, the renderer and one example inside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FIXTURES = Path(__file__).resolve().parent.parent / "data"
ROWS = {"text": "play a song in paris", "place": "paris", "intent": "play"}
Make = Callable[..., Path]


@pytest.fixture
def fixtures() -> Path:
    return FIXTURES


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes an artifact; ``spoil`` changes an id of its stored example."""

    def artifact(kind: str, template: Any = "{text}", labels: tuple[str, ...] = (), spoil: bool = False) -> Path:
        from safetensors.numpy import save_file

        from hone.data.tokenizer import train_tokenizer
        from hone.deploy.gguf.decoder import tensor_names
        from hone.deploy.gguf.writing import export
        from hone.task.render import Renderer

        folder = tmp_path_factory.mktemp(kind)
        tokenizer = train_tokenizer([" play a song in paris tomorrow"] * 20, 300, labels)
        output = {"intent": "{intent}"} if kind == "extract" else "{intent}"
        renderer = Renderer(
            kind=kind, input_template=template, output_template=output, tokenizer=tokenizer, labels=labels
        )
        example = renderer.stored_example("train.csv:1", ROWS)
        example["ids"][0] += spoil
        config = {"model_type": "llama", "vocab_size": tokenizer.vocab_size, "hidden_size": 32, "intermediate_size": 64}
        config |= {"num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 48}
        config |= {"rms_norm_eps": 1e-6, "tie_word_embeddings": True}
        sizes = {"embed_tokens": (tokenizer.vocab_size, 32), "gate_proj": (64, 32), "up_proj": (64, 32)}
        sizes |= {"down_proj": (32, 64), "norm": (32,)}
        random = np.random.default_rng(0)
        weights = {
            name: random.normal(0, 0.3, next((size for part, size in sizes.items() if part in name), (32, 32)))
            for name in tensor_names(config)
        }
        save_file({name: value.astype(np.float32) for name, value in weights.items()}, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "hone.json").write_text(json.dumps({"renderer": renderer.to_json(), "examples": [example]}))
        tokenizer.save(folder)
        return export(folder, "f32", folder / f"{kind}.gguf")

    return artifact
