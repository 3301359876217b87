"""Estimates of bases and encoders against what Transformers builds; shares of a device's peak against published sums.

Facts from outside: a training step of a model of N parameters takes 6 N operations a token and 12 L h T for attention
(A. Chowdhery et al., arXiv:2204.02311, appendix B); NVIDIA states 989 and 312 TFLOP/s of dense bf16 for H100 and A100.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hone.data.tokenizer import TextTokenizer
from hone.errors import InputError
from hone.model.base import open_base
from hone.model.encoders import ENCODER_PRESETS, HEADS, Head, encoder_from_scratch, encoder_matrix_parameters
from hone.model.estimate import MicroBatch, figures, flops_per_token, training_memory
from hone.model.faster import ARCHITECTURES, hidden_states
from hone.model.memory import activation_bytes, coming_and_going, held_bytes, is_fused, passing_bytes, update_bytes
from hone.model.presets import PRESETS, from_scratch, matrix_parameters, preset
from hone.model.sizes import KEPT_FUSED, size_of
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


def fixed(recipe: Recipe, shape: Any = PRESETS["1m"]) -> float:
    """Bytes of one process without what comes and goes, its shards counted."""
    shards = recipe.processes if recipe.strategy == "fsdp" else 1
    return held_bytes(size_of(shape), recipe) / shards


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
    one = MicroBatch(rows=1, longest=8)
    plain, sharded, half = (
        training_memory(PRESETS["1m"], Recipe(**adamw, batch_size=32, **more), one, on_cpu=False).value
        for more in ({}, {"processes": 2, "strategy": "fsdp"}, {"precision": "bf16-mixed"})
    )
    assert plain - sharded == 8 * total
    # A row of eight tokens is nothing beside the gradients that are still to come: matrices in bf16 alone are new.
    assert half - plain == 2 * matrix_parameters(PRESETS["1m"])


def test_of_a_sharded_gradient_only_ones_own_part_is_still_to_come() -> None:
    # Where activations decide, gradients that are held and not there yet leave them room: those of this process.
    many, table = MicroBatch(rows=64, longest=256), 1024 * 128
    total, recipe = size_of(PRESETS["1m"]).parameters, Recipe(optimizer="adamw", batch_size=256)
    sharded = recipe.child(processes=4, strategy="fsdp")
    one, part = (training_memory(PRESETS["1m"], each, many, on_cpu=False).value for each in (recipe, sharded))
    assert one - part == pytest.approx(16 * total * 3 / 4 - 4 * (total - table) * 3 / 4)


def test_checkpointing_keeps_a_layers_input_and_one_layer() -> None:
    size, logits = size_of(PRESETS["1m"]), 2 * 1024 * 4
    plain = activation_bytes(size, rows=1, tokens_per_row=1) - logits
    again = activation_bytes(size, rows=1, tokens_per_row=1, checkpointing=True) - logits
    assert again == plain / 4 + 4 * 128 * 4


@pytest.mark.parametrize("arch", ["llama", "qwen3"])
@pytest.mark.parametrize("lengths", [(48, 48, 48, 48), (48, 40, 33, 30)])
def test_the_fused_pass_keeps_what_is_estimated_and_no_padding(arch: str, lengths: tuple[int, ...]) -> None:
    shape = preset(f"1m-{arch}")
    module: Any = from_scratch(shape, 0).train()
    weights = {param.untyped_storage().data_ptr() for param in module.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def remember(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    ids = torch.randint(4, shape.vocab, (4, 48))
    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        hidden_states(module, ids, None, torch.tensor(lengths))
    real, size = sum(tensor.untyped_storage().nbytes() for tensor in kept.values()), size_of(shape)
    logits = min(sum(lengths), 256) * 1024 * 4
    estimate = activation_bytes(size, rows=4, tokens_per_row=48, tokens=sum(lengths), fused=True) - logits
    assert real == pytest.approx(estimate, rel=1 / 8)


def test_the_fused_passs_models_are_those_that_are_estimated_so() -> None:
    assert frozenset(KEPT_FUSED) == ARCHITECTURES
    size = size_of(PRESETS["1m"])
    assert is_fused(size, Recipe())
    for other in ({"compile": True}, {"gradient_checkpointing": True}, {"precision": "bf16-mixed"}):
        assert not is_fused(size, Recipe(**other))  # type: ignore[arg-type]
    assert not is_fused(size_of(PRESETS["1m"], dropout=0.1), Recipe())
    assert not is_fused(size_of(TINY, "tag-tokens", 5), Recipe())


def test_memory_of_the_fused_pass_and_of_an_update_worked_out_by_hand() -> None:
    # 1m as qwen3: h 128, f 352, 4 layers, V 1,024; 300 tokens, of which a piece of 256 has logits at once.
    size, recipe = size_of(preset("1m-qwen3")), Recipe(optimizer="muon")
    one = {"rows": 2, "tokens_per_row": 200, "tokens": 300}
    assert activation_bytes(size, **one, fused=True) == 300 * 4 * (10 * 128 + 2 * 352) * 4 + 256 * 1024 * 4
    assert passing_bytes(size, 300, fused=True) == 300 * (7 * 128 + 4 * 352) * 4
    # A fourth of the tokens goes on behind the last layer's attention, whose output, feed-forward input, gate and up it
    # keeps; the feed-forward of the layer before goes back over all of them, when what the last one kept is freed.
    saved = 300 * 0.75 * (2 * 128 + 2 * 352) * 4
    whole, few = (activation_bytes(size, **one, fused=True, supervised=share) for share in (1.0, 0.25))
    assert whole - few == saved + (256 - 75) * 1024 * 4
    last = 300 * (10 * 128 + 2 * 352) * 4 - saved
    assert passing_bytes(size, 300, fused=True, supervised=0.25) == passing_bytes(size, 300, fused=True) - last
    # Sixteen squares of 128 take 7 times their values; eight of 352 x 128 more: 4 times, and 3 squares.
    squares, wide = 16 * 7 * 128 * 128, 8 * max(3 * 352 * 128 + 6 * 128 * 128, 4 * 352 * 128 + 3 * 128 * 128)
    assert update_bytes(size, recipe) == 4 * max(squares, wide)
    assert update_bytes(size, Recipe(optimizer="adamw")) == 0


def test_what_comes_and_goes_is_the_larger_of_the_moments_of_a_step() -> None:
    small = coming_and_going(0, 0, 0)
    assert coming_and_going(80, 0, 100) == 80 + small  # gradients lie where activations were, and beside them
    assert coming_and_going(1000, 0, 100) == 1.25 * 1000 - 100 + small  # the start of the way back
    assert coming_and_going(1000, 0, 100, accumulated=True) == 1.75 * 1000 + small  # they are there, and in the way
    assert coming_and_going(1000, 50, 100) == 1.25 * 1000 - 100 + 0.4 * 50 + small  # what an update left behind
    assert coming_and_going(80, 400, 0) == 0.5 * 80 + 1.5 * 400 + small  # the update
    assert coming_and_going(80, 400, 0, on_cpu=False) == 400
    # Of the fused head one block of logits, without holes, and the embedding's gradient; of several micro-batches its
    # own too, for those of the first are held.
    assert coming_and_going(1000, 0, 100, piece=200, matrix=40) == 1.25 * 800 + 200 + 40 - 100 + small
    assert coming_and_going(1000, 0, 100, accumulated=True, piece=200, matrix=40) == 1.75 * 800 + 200 + 80 + small


def test_a_large_vocabulary_costs_a_step_its_matrix_once_and_accumulation_once_more() -> None:
    # What V adds beside what is held: a piece of 256 rows of logits, and matrices of V * h.
    batch = MicroBatch(rows=16, longest=32)

    def moving(vocab: int, accumulate: int) -> float:
        shape = replace(PRESETS["1m"], vocab=vocab)
        recipe = Recipe(optimizer="adamw", vocab_size=vocab, accumulate=accumulate)
        return training_memory(shape, recipe, batch).value - held_bytes(size_of(shape), recipe)

    piece, matrix = (4 * (65_536 - 32_768) * each for each in (256, 128))
    assert moving(65_536, 1) - moving(32_768, 1) == pytest.approx(piece + matrix)
    assert moving(65_536, 2) - moving(32_768, 2) == pytest.approx(piece + 2 * matrix)


def test_everything_before_the_start_with_its_formula() -> None:
    recipe = Recipe(base="scratch:1m", optimizer="adamw")
    listed = {
        figure.name: figure
        for figure in figures(recipe, PRESETS["1m"], MicroBatch(rows=8, longest=64), tokens=1e6, tokens_per_second=5e3)
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
    batch = MicroBatch(rows=2, longest=16)
    bert, pooler, classes = 49_408 + 2 * 49_984, 64 * 64 + 64, 77 * 65
    assert figures(recipe.child(pooling="first"), TINY, batch, tokens=10, labels=77)[0].value == bert + pooler + classes
    mean = figures(recipe, TINY, batch, tokens=10, labels=77)[0]
    assert mean.value == bert + classes  # mean pooling takes BERT's pooler out
    assert mean.line().endswith("without the pooler's 4,160: the mean pools")


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
