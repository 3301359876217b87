"""A small model folder with everything that an export needs, built once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hone.data.tokenizer import TextTokenizer, train_tokenizer
from hone.task.render import Example, Renderer

WORDS = (
    *("play", "the", "song", "weather", "in", "paris", "tomorrow", "rate"),
    *("a", "book", "table", "for", "two", "people", "find", "movie", "caf\u00e9"),
)


@dataclass(frozen=True, kw_only=True)
class Built:
    """A random Llama of width 64 with its tokenizer, renderer and rendered rows."""

    folder: Path
    module: Any
    tokenizer: TextTokenizer
    renderer: Renderer
    examples: tuple[Example, ...]


def sentence(number: int) -> str:
    return " ".join(WORDS[(number * step + step) % len(WORDS)] for step in range(1, 8))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from hone.model.folder import save_model_folder

    torch.set_num_threads(1)
    texts = [f' {sentence(number)} {{"intent":" play","n":"{number}"}}' for number in range(200)]
    tokenizer = train_tokenizer(texts, 400)
    renderer = Renderer(
        kind="extract", input_template="{text}", output_template={"intent": "{intent}"}, tokenizer=tokenizer
    )
    rows = [{"text": sentence(number), "intent": WORDS[number % len(WORDS)]} for number in range(40)]
    rows[3] = {"text": " leading <|end|> na\u00efve \U0001f600", "intent": "<|answer|>"}
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=192,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        initializer_range=0.08,
    )
    module = LlamaForCausalLM(config).eval()
    folder = tmp_path_factory.mktemp("model") / "model"
    stored = [renderer.stored_example(f"dev:{number}", row) for number, row in enumerate(rows[:8])]
    meta = {"task": "toy", "recipe": "0" * 12, "base": {"name": "scratch"}}
    save_model_folder(folder, module, tokenizer, renderer, stored, meta)
    examples = tuple(renderer.example(f"dev:{number}", row) for number, row in enumerate(rows))
    return Built(folder=folder, module=module, tokenizer=tokenizer, renderer=renderer, examples=examples)


@pytest.fixture(scope="session")
def artifacts(built: Built, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same model in each weight format that its rows of 64 and 192 weights can have."""
    from hone.deploy.gguf.writing import export

    folder = tmp_path_factory.mktemp("artifacts")
    names = ("f32", "f16", "q8_0", "q5_0", "q4_0")
    return {name: export(built.folder, name, folder / f"toy-{name}.gguf") for name in names}
