"""What the tests of scoring share: a tokenizer of bytes, small tasks, one random Llama."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from hone.data.rows import Row
from hone.task.render import SPECIALS, Renderer, label_token
from hone.task.spec import Task

LABELS = ("no", "perhaps", "yes")


class ByteTokenizer:
    """One id per byte, after the special ones: every figure can be worked out by hand."""

    def __init__(self, labels: Sequence[str] = ()) -> None:
        self.names = [*SPECIALS, *(label_token(label) for label in labels)]
        self.vocab_size = len(self.names) + 256

    def encode(self, text: str) -> list[int]:
        return [byte + len(self.names) for byte in text.encode()]

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(i - len(self.names) for i in ids if i >= len(self.names)).decode("utf-8", "replace")

    def special_id(self, name: str) -> int:
        return self.names.index(name)


OUTPUTS: dict[str, Any] = {
    "extract": {"intent": "{intent}", "slots": "{slots}"},
    "classify": "{label}",
    "generate": "{answer}",
    "language-model": "{text}",
}


@pytest.fixture(scope="session")
def task_of() -> Callable[..., Task]:
    def make(kind: str, context: int = 64, **more: Any) -> Task:
        prompt = {} if kind == "language-model" else {"input": "{text}"}
        device = {"context": context, "prompt_tokens": 4}
        values = {"task": "t", "kind": kind, "data": {"train": "x"}, "output": OUTPUTS[kind], "device": device}
        return Task.model_validate({**values, **prompt, "target": 0.5, **more})

    return make


@pytest.fixture(scope="session")
def renderer_of(task_of: Callable[..., Task]) -> Callable[..., Renderer]:
    def make(kind: str) -> Renderer:
        labels = LABELS if kind == "classify" else ()
        return Renderer.of_task(task_of(kind), ByteTokenizer(labels), labels=labels)

    return make


@pytest.fixture
def rows() -> list[Row]:
    """Five rows that every kind can use."""
    made = []
    for number, (intent, label) in enumerate(zip("abaab", ("no", "yes", "no", "perhaps", "no"), strict=True)):
        fields = {"text": f"ask {number}", "intent": intent, "slots": {"n": str(number)}, "label": label}
        made.append(Row(f"rows.jsonl:{number + 1}", {**fields, "answer": f"number {number}"}))
    return made


@pytest.fixture(scope="session")
def llama() -> Any:
    """A random Llama of width 32 with weights large enough that its answers differ from prompt to prompt."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=64, max_position_embeddings=48, tie_word_embeddings=False,
        bos_token_id=1, eos_token_id=3, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()
