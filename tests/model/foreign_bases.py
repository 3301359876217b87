"""Bases as others write them: random models of several families, each with a byte-level tokenizer of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

TEXTS = ["The old clock in the hall stopped at noon.", "Rain fell on the quiet town.", "She sold bread and salt."]
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WIDE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
FAMILIES: dict[str, tuple[Callable[[Any, dict[str, Any]], Any], dict[str, Any]]] = {
    "llama": (lambda t, values: t.LlamaForCausalLM(t.LlamaConfig(**values)), {**WIDE, "tie_word_embeddings": False}),
    "gpt2": (
        lambda t, values: t.GPT2LMHeadModel(t.GPT2Config(**values)),
        {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "bos_token_id": 0, "eos_token_id": 0},
    ),
    "bert": (lambda t, values: t.BertForMaskedLM(t.BertConfig(**values)), WIDE),
    "roberta": (lambda t, values: t.RobertaForMaskedLM(t.RobertaConfig(**values)), WIDE),
    "distilbert": (
        lambda t, values: t.DistilBertForMaskedLM(t.DistilBertConfig(**values)),
        {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
    ),
}


def write_tokenizer(folder: Path, texts: Sequence[str] = TEXTS, size: int = 300, special: Sequence[str] = ()) -> int:
    """A byte-level tokenizer in a folder; the number of its ids."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    rust = Tokenizer(models.BPE())
    rust.pre_tokenizer, rust.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, show_progress=False, special_tokens=list(special)
    )
    rust.train_from_iterator(texts, trainer)
    rust.save(str(folder / "tokenizer.json"))
    return int(rust.get_vocab_size())


def write_base(folder: Path, family: str, **changes: Any) -> Path:
    """A model of a family with random weights, in a folder that is made."""
    import torch
    import transformers

    folder.mkdir(parents=True)
    encoder = family in ("bert", "roberta", "distilbert")
    ids = write_tokenizer(folder, special=SPECIAL if encoder else ())
    if encoder:
        names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
        (folder / "special_tokens_map.json").write_text(json.dumps(names))
    build, values = FAMILIES[family]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        build(transformers, {"vocab_size": ids, **values, **changes}).save_pretrained(folder)
    return folder
