"""Small random bases and PEFT adapters over them, whose weights are drawn: as if they had been trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hone.data.tokenizer import ENCODER_SPECIALS, TextTokenizer, train_tokenizer
from hone.model.folder import save_model_folder
from hone.task.encoding import EncoderRenderer
from hone.task.render import Renderer

TEXTS = [f' play the song {number} in paris {{"intent":" play"}}' for number in range(60)]
LINEAR = ["q_proj", "v_proj", "down_proj"]
PEFT_SAYS = tuple(
    f"ignore:{words}"
    for words in ("Model has .tie_word_emb", "Setting .save_embedding", ".is_gradient_check", "Unsupported layer type")
)
"""What it and Transformers warn of while adapters are made for tests."""


def base_folder(folder: Path, *, tied: bool = True, spare: int = 0, model_type: str = "llama") -> Path:
    """A model folder of hone's: width 32, two layers; ``spare`` rows of the embedding have no token."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    tokenizer = train_tokenizer(TEXTS, 300)
    renderer = Renderer(kind="generate", input_template="{text}", output_template="{intent}", tokenizer=tokenizer)
    sizes: dict[str, Any] = {
        "vocab_size": tokenizer.vocab_size + spare,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "tie_word_embeddings": tied,
        "initializer_range": 0.2,
    }
    module: Any = LlamaForCausalLM(LlamaConfig(**sizes))
    if model_type == "qwen3":
        module = Qwen3ForCausalLM(Qwen3Config(**sizes))
    rows = [{"text": f"play the song {number}", "intent": "play"} for number in range(8)]
    stored = [renderer.stored_example(f"dev:{number}", row) for number, row in enumerate(rows)]
    meta = {"task": "toy", "recipe": "0" * 12, "base": "scratch"}
    return save_model_folder(folder, module.eval(), tokenizer, renderer, stored, meta)


def encoder_folder(folder: Path) -> Path:
    """A BERT of hone's with labels: width 32, two layers."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = train_tokenizer(TEXTS, 290, specials=ENCODER_SPECIALS)
    renderer = EncoderRenderer(
        kind="classify",
        input_template="{text}",
        output_template="{intent}",
        tokenizer=tokenizer,
        labels=("play", "rate"),
        marks=tokenizer.encoder_marks,
    )
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,
        num_labels=2,
    )
    rows = [{"text": f"play the song {number}", "intent": "play"} for number in range(8)]
    stored = [renderer.stored_example(f"dev:{number}", row) for number, row in enumerate(rows)]
    meta = {"task": "toy", "recipe": "0" * 12, "base": "scratch", "objective": "classify-sequence"}
    return save_model_folder(folder, BertForSequenceClassification(config).eval(), tokenizer, renderer, stored, meta)


def adapter_folder(folder: Path, base: Path, config: Any, *, seed: int = 1, auto: str = "CausalLM") -> tuple[Path, Any]:
    """An adapter saved by PEFT over a base folder, and PEFT's own model with it."""
    import torch
    import transformers
    from peft import get_peft_model

    module = getattr(transformers, f"AutoModelFor{auto}" if auto else "AutoModel").from_pretrained(
        base, dtype=torch.float32
    )
    torch.manual_seed(seed)
    attached = get_peft_model(module, config)
    with torch.no_grad():
        for _, param in attached.named_parameters():
            if param.requires_grad:
                param.add_(torch.randn_like(param) * 0.1)
    attached.eval().save_pretrained(folder)
    return folder, attached


def named_base(adapter: Path, reference: str | None, **more: Any) -> Path:
    """The adapter with another base in its configuration."""
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "base_model_name_or_path": reference, **more}))
    return adapter


def logits_of(module: Any, ids: list[int]) -> Any:
    """(ids, vocabulary) logits."""
    import torch

    with torch.no_grad():
        return module(input_ids=torch.tensor([ids])).logits[0].float()


def wrap(rust: Any) -> TextTokenizer:
    return TextTokenizer(rust)
