"""Estimates of bases and encoders against what Transformers builds; shares of a device's peak against published sums.

Facts from outside: a training step of a model of N parameters takes 6 N operations a token and 12 L h T for attention
(A. Chowdhery et al., arXiv:2204.02311, appendix B); NVIDIA states 989 and 312 TFLOP/s of dense bf16 for H100 and A100.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hone.data.tokenizer import TextTokenizer
from hone.errors import InputError
from hone.model.base import open_base
from hone.model.encoders import ENCODER_PRESETS, HEADS, Head, encoder_from_scratch, encoder_matrix_parameters
from hone.model.estimate import activation_bytes, figures, flops_per_token, training_memory
from hone.model.presets import PRESETS, from_scratch, matrix_parameters
from hone.model.sizes import size_of
from hone.model.speed import measured_gemm_flops, mfu, peak_flops
from hone.task.recipe import Recipe

LABELS: dict[Head, int] = {"masked-tokens": 0, "classify-sequence": 3, "tag-tokens": 5}
TINY = ENCODER_PRESETS["bert-tiny"]


def numbers(module: Any) -> int:
    return sum(param.numel() for param in module.parameters())


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_decoders_parameters_are_counted_in_its_files_with_the_rows_to_come(family: str, make_base: Any) -> None:
    base = open_base(str(make_base(family)), TextTokenizer, ("yes", "no"), add_tokens=("salt",))
    size = size_of(base)
    assert size.parameters == numbers(base.module)
    assert (size.hidden, size.layers, size.heads, size.outputs) == (32, 2, 2, base.tokenizer.vocab_size)
    lookups = sum(part.weight.numel() for part in base.module.modules() if isinstance(part, torch.nn.Embedding))
    output: Any = base.module.get_output_embeddings()  # type: ignore[operator]
    two = sum(param.numel() for param in base.module.parameters() if param.ndim == 2)
    assert size.matrices == two - lookups + (output.weight.numel() if size.tied else 0)


def test_a_file_of_llama2c_is_counted(stories: Path) -> None:
    base = open_base(str(stories), TextTokenizer)
    assert size_of(base).parameters == numbers(base.module)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_an_encoders_parameters_are_counted_with_the_head_that_it_gets(family: str, head: Head, make_base: Any) -> None:
    base = open_base(str(make_base(family)), TextTokenizer, head=head, num_labels=LABELS[head])
    assert size_of(base).parameters == numbers(base.module)


@pytest.mark.parametrize("head", HEADS)
def test_a_presets_tensors_are_those_of_the_module_by_name_and_shape(head: Head) -> None:
    with torch.device("meta"):
        module = encoder_from_scratch(TINY, 0, head, LABELS[head])
    size = size_of(TINY, head, LABELS[head])
    assert dict(size.tensors) == {name: tuple(param.shape) for name, param in module.named_parameters()}
    assert size.matrices == encoder_matrix_parameters(TINY, head, LABELS[head])
    assert size_of(PRESETS["5m"]).matrices == matrix_parameters(PRESETS["5m"])


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("name", ["bert-tiny", "bert-1m"])
def test_an_encoders_activations_are_estimated_to_a_sixth_of_what_is_kept(name: str, dropout: float) -> None:
    shape, rows, tokens = ENCODER_PRESETS[name], 4, 64
    module: Any = encoder_from_scratch(shape, 0, "tag-tokens", 5, dropout=dropout).train()
    weights = {param.untyped_storage().data_ptr() for param in module.parameters()}
    kept: dict[int, int] = {}

    def remember(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    real: list[torch.Tensor] = []  # storages must live until they are counted, or addresses come twice

    def hold(tensor: torch.Tensor) -> torch.Tensor:
        real.append(tensor)
        return remember(tensor)

    ids = torch.randint(4, shape.vocab, (rows, tokens))
    mask = torch.ones(rows, tokens, dtype=torch.bool)
    with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        module(input_ids=ids, attention_mask=mask).logits.sum()
    size = size_of(shape, "tag-tokens", 5, dropout)
    assert sum(kept.values()) == pytest.approx(activation_bytes(size, rows=rows, tokens_per_row=tokens), rel=1 / 6)


def fixed(recipe: Recipe, size: Any = PRESETS["1m"]) -> float:
    """Bytes without activations: the difference to twice as many rows is one row's."""
    one, two = (training_memory(size, recipe, rows=rows, tokens_per_row=8).value for rows in (1, 2))
    return 2 * one - two


def test_memory_counts_what_is_frozen_sharded_and_kept_by_each_optimizer() -> None:
    total = size_of(PRESETS["1m"]).parameters
    table = 1024 * 128
    adamw = {"optimizer": "adamw", "average": 0.0}
    assert fixed(Recipe(**adamw)) == 16 * total
    assert fixed(Recipe(**adamw, freeze=("*embed_tokens*",))) == 16 * total - 12 * table
    assert fixed(Recipe(**adamw, processes=2, strategy="fsdp", batch_size=32)) == 8 * total
    assert fixed(Recipe(**adamw, processes=2, strategy="ddp", batch_size=32)) == 16 * total
    # Adafactor: 128 + 352 values for a feed-forward matrix, 256 for a square one, rows + columns of the embedding.
    layer = 4 * 256 + 3 * (128 + 352) + 2 * 128
    assert fixed(Recipe(optimizer="adafactor")) == 4 * (2 * total + 4 * layer + 1024 + 128 + 128)
    half = fixed(Recipe(**adamw, precision="bf16-mixed")) - 16 * total
    assert half == 2 * matrix_parameters(PRESETS["1m"])


def test_checkpointing_keeps_a_layers_input_and_one_layer() -> None:
    plain = activation_bytes(PRESETS["1m"], rows=1, tokens_per_row=1) - 2 * 1024 * 4
    again = activation_bytes(PRESETS["1m"], rows=1, tokens_per_row=1, checkpointing=True) - 2 * 1024 * 4
    assert again == plain / 4 + 4 * 128 * 4


def test_everything_before_the_start_with_its_formula() -> None:
    recipe = Recipe(base="scratch:1m", optimizer="adamw")
    listed = {
        figure.name: figure
        for figure in figures(recipe, PRESETS["1m"], rows=8, tokens_per_row=64, tokens=1e6, tokens_per_second=5e3)
    }
    per_token = flops_per_token(PRESETS["1m"], 64).value
    assert listed["training operations"].value == per_token * 1e6
    assert listed["training time"].value == 200
    assert list(listed) == [
        "parameters",
        "training tokens",
        "training operations per token",
        "training operations",
        "training memory",
        "training time",
    ]


def test_a_head_over_rows_has_few_logits() -> None:
    recipe = Recipe(base="scratch:bert-tiny", objective="classify-sequence", optimizer="adamw")
    few = activation_bytes(size_of(TINY, "classify-sequence", 77), rows=2, tokens_per_row=16)
    assert few == 2 * 16 * 2 * (8 * 64 + 2 * 256) * 4 + 2 * 2 * 77 * 4
    assert (
        figures(recipe, TINY, rows=2, tokens_per_row=16, tokens=10, labels=77)[0].value == 49_408 + 2 * 49_984 + 9_165
    )


def test_the_share_of_a_devices_peak_is_the_published_sum() -> None:
    shape = PRESETS["125m"]
    per_token = 6 * matrix_parameters(shape) + 12 * 14 * 768 * 2048
    assert mfu(shape, 2048, 500_000, peak_flops("NVIDIA H100 80GB HBM3")) == pytest.approx(500_000 * per_token / 989e12)
    assert peak_flops("NVIDIA A100-SXM4-80GB") == 312e12
    for unknown in ("NVIDIA GeForce RTX 9999", "NVIDIA H100 PCIe"):
        with pytest.raises(InputError, match="is not known, so no share of it can be told; known: A100, H100"):
            peak_flops(unknown)


def test_a_processors_peak_is_measured_and_leaves_the_threads_alone() -> None:
    before = torch.get_num_threads()
    assert measured_gemm_flops(1) > 1e8
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "muon"])
@pytest.mark.parametrize("freeze", [(), ("*embed*", "*.layers.0.*")])
def test_weights_gradients_and_moments_have_the_bytes_that_were_estimated(
    optimizer: str, freeze: tuple[str, ...]
) -> None:
    from hone.train.optimizers import build_optimizers

    recipe = Recipe(base="scratch:tiny", optimizer=optimizer, freeze=freeze, average=0.0)  # type: ignore[arg-type]
    shape = PRESETS["tiny"]
    module: Any = from_scratch(shape, 0)
    kept = set(size_of(shape).trained(freeze))
    for name, param in module.named_parameters():
        param.requires_grad_(name in kept)
    parts = build_optimizers(module, recipe)
    module(input_ids=torch.arange(8)[None], labels=torch.arange(8)[None]).loss.backward()
    for part in parts:
        part.optimizer.step()
    tensors = [*module.parameters(), *(param.grad for param in module.parameters() if param.grad is not None)]
    # Counters of steps, one number each, are left out.
    tensors += [value for part in parts for value in part.tensors().values() if value.numel() > 1]
    assert sum(tensor.nbytes for tensor in tensors) == fixed(recipe, shape)
