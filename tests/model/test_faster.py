"""The faster way through a decoder: equal loss and gradients, documents apart, and the plain way where it must be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from hone.model import faster
from hone.model.fused_head import head_loss
from hone.model.presets import from_scratch, preset
from hone.task.recipe import Recipe
from hone.task.render import Example
from hone.train.batches import Batch, collate
from hone.train.fabric import forward_of
from hone.train.objectives import NextToken, supervised_logits

ROWS = {
    "equal rows": [(30,), (30,), (30,)],
    "padded rows": [(30,), (17,), (5,), (29,)],
    "packed rows": [(9, 30), (5, 6, 20)],
    "packed rows, one of them full": [(20, 19), (39,)],
    "nothing": [],
}


def example(length: int, seed: int) -> Example:
    draw = np.random.default_rng(seed)
    supervised = np.zeros(length, bool)
    supervised[max(1, length // 2) :] = True
    ids = draw.integers(4, 400, length).astype(np.int32)
    return Example(ids=ids, supervised=supervised, prompt_len=length // 2, label=None, row=f"{length}-{seed}")


def batch_of(rows: list[tuple[int, ...]], seed: int = 0) -> Batch:
    return collate([tuple(example(length, seed + length) for length in row) for row in rows])


def model_of(arch: Any, kv_heads: int = 4) -> Any:
    shape = replace(preset("tiny"), arch=arch, heads=4, kv_heads=kv_heads)
    model = from_scratch(shape, 1, init_std=0.08).to(torch.float64)
    with torch.no_grad():
        for gain in (param for param in model.parameters() if param.ndim < 2):
            gain.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(gain.numel()))
    return model


LLAMA3 = {
    "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip


def llama_of(**config: Any) -> Any:
    shape = {"vocab_size": 400, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    torch.manual_seed(1)
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
    return LlamaForCausalLM(LlamaConfig(**{**shape, **heads, **config})).to(torch.float64)


def plain_loss(model: Any, batch: Batch, smoothing: float) -> Tensor:
    return nn.functional.cross_entropy(
        supervised_logits(model, batch), batch.targets, reduction="sum", label_smoothing=smoothing
    )


def gradients(model: Any, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: param.grad.clone() for name, param in model.named_parameters() if param.grad is not None}


@pytest.mark.parametrize(("arch", "kv_heads"), [("llama", 4), ("qwen3", 4), ("qwen3", 2)])
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS.keys())
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradients_equal_those_of_the_plain_way(arch, kv_heads, rows, smoothing):
    model, batch = model_of(arch, kv_heads), batch_of(rows)
    assert faster.obstacle(model) is None
    want_loss = plain_loss(model, batch, smoothing)
    want = gradients(model, want_loss)
    got_loss = NextToken(smoothing).loss(model, batch).total
    got = gradients(model, got_loss)
    # Transformers' norms compute in float32 also in a float64 model, so rounding is float32's.
    torch.testing.assert_close(got_loss, want_loss, rtol=1e-6, atol=1e-6)
    assert got.keys() == want.keys()
    for name, grad in want.items():
        assert (got[name] - grad).abs().max() <= 2e-6 * max(1e-9, float(grad.abs().max())), name


def test_another_document_in_the_row_changes_no_bit_of_this_one():
    model = model_of("qwen3").float()
    first, second, other = example(11, 1), example(14, 2), example(11, 3)
    states = [
        faster.hidden_states(model, b.ids, b.position_ids, b.lengths).states[11:]
        for b in (collate([(first, second)]), collate([(other, second)]))
    ]
    assert torch.equal(states[0], states[1])


def test_states_that_are_asked_for_alone_are_those_of_the_whole_batch():
    model, batch = model_of("qwen3"), batch_of(ROWS["packed rows"])
    given = (batch.ids, batch.position_ids, batch.lengths)
    all_of_them, some = faster.hidden_states(model, *given), faster.hidden_states(model, *given, batch.predict_from)
    assert len(some.states) == len(batch.predict_from) < len(all_of_them.states)
    want = all_of_them.states[all_of_them.rows(batch.predict_from)]
    torch.testing.assert_close(some.states[some.rows(batch.predict_from)], want, rtol=1e-12, atol=1e-12)


def test_the_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    hidden, weight = (torch.randn(size, 6, dtype=torch.float64, requires_grad=True) for size in (7, 9))
    rows, targets = torch.tensor([1, 2, 5]), torch.tensor([3, 0, 8])
    assert torch.autograd.gradcheck(lambda h, w: head_loss(h, w, rows, targets, 0.2), (hidden, weight))


def test_logits_in_pieces_come_to_the_loss_of_all_at_once(monkeypatch):
    monkeypatch.setattr("hone.model.fused_sizes.PIECE_LOGITS", 1)
    monkeypatch.setattr("hone.model.fused_sizes.LEAST_PIECE_ROWS", 2)
    torch.manual_seed(0)
    hidden, weight = torch.randn(7, 6, dtype=torch.float64), torch.randn(9, 6, dtype=torch.float64)
    rows, targets = torch.arange(7), torch.arange(7)
    want = nn.functional.cross_entropy(hidden @ weight.T, targets, reduction="sum")
    torch.testing.assert_close(head_loss(hidden, weight, rows, targets), want)


def test_frozen_matrices_get_no_gradient_and_the_others_the_same():
    model, batch = model_of("qwen3"), batch_of(ROWS["padded rows"])
    want = gradients(model, NextToken().loss(model, batch).total)
    frozen = {name for name, _ in model.named_parameters() if "layers.0" in name or "embed" in name}
    for name, param in model.named_parameters():
        param.requires_grad_(name not in frozen)
    for param in model.parameters():
        param.grad = None
    got = gradients(model, NextToken().loss(model, batch).total)
    assert got.keys() == want.keys() - frozen
    assert all(torch.equal(grad, want[name]) for name, grad in got.items())


@pytest.mark.parametrize(
    "config",
    [
        {"tie_word_embeddings": True},
        {"head_dim": 6},
        {"head_dim": 20, "num_key_value_heads": 1},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
        {"rope_parameters": {**LLAMA3, "rope_theta": 1e4}},
        {"rope_parameters": {**LLAMA3, "rope_type": "yarn", "rope_theta": 1e4}},
    ],
    ids=str,
)
def test_other_shapes_and_rotations_are_those_of_the_plain_way(config):
    """Transformers itself makes the angles, whatever stretches them."""
    model, batch = llama_of(**config), batch_of(ROWS["padded rows"])
    assert faster.obstacle(model) is None
    want_loss = plain_loss(model, batch, 0.0)
    want = gradients(model, want_loss)
    got = gradients(model, NextToken().loss(model, batch).total)
    assert got.keys() == want.keys()
    for name, grad in want.items():
        assert (got[name] - grad).abs().max() <= 2e-6 * max(1e-9, float(grad.abs().max())), name


def test_gradients_made_on_the_way_forward_hold_under_scales_sums_and_repeats():
    model, one, other = model_of("qwen3", 2), batch_of(ROWS["padded rows"]), batch_of(ROWS["packed rows"], 5)
    objective = NextToken(0.1)
    first = gradients(model, objective.loss(model, one).total)
    second = gradients(model, objective.loss(model, other).total)
    both = gradients(model, objective.loss(model, one).total / 8 - 3 * objective.loss(model, other).total)
    for name, grad in both.items():
        torch.testing.assert_close(grad, first[name] / 8 - 3 * second[name], msg=name)
    model.zero_grad()
    loss = objective.loss(model, one).total
    for _ in range(3):
        loss.backward(retain_graph=True)
    for name, param in model.named_parameters():
        torch.testing.assert_close(param.grad, 3 * first[name], msg=name)
    with torch.no_grad():
        judged = objective.loss(model.eval(), one).total
    assert not judged.requires_grad
    torch.testing.assert_close(judged, loss.detach())


def test_what_is_not_finite_in_one_row_stays_there_and_is_seen():
    model, batch = llama_of(), batch_of(ROWS["padded rows"])
    with torch.no_grad():
        model.get_input_embeddings().weight[int(batch.ids[1, 0])] = torch.nan
    losses = [float(NextToken().loss(model, batch.one_row(i)).total.detach()) for i in range(len(batch.lengths))]
    holds = [bool((batch.ids[i, : batch.lengths[i]] == batch.ids[1, 0]).any()) for i in range(len(batch.lengths))]
    assert [np.isnan(loss) for loss in losses] == holds
    assert True in holds
    assert not NextToken().loss(model, batch).total.isfinite()


def test_nothing_of_the_model_is_changed():
    model, batch = model_of("llama"), batch_of(ROWS["equal rows"])
    before = {name: (type(module), set(vars(module))) for name, module in model.named_modules()}
    NextToken().loss(model, batch).total.backward()
    assert {name: (type(module), set(vars(module))) for name, module in model.named_modules()} == before


@pytest.mark.parametrize(
    "config",
    [{"attention_bias": True}, {"mlp_bias": True}, {"hidden_act": "gelu"}, {"attention_dropout": 0.1}],
    ids=str,
)
def test_a_config_that_it_does_not_compute_is_refused(config):
    assert faster.obstacle(llama_of(**config).train())


def test_windows_are_refused():
    shape = {"vocab_size": 400, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "head_dim": 8}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_window_layers": 0, "sliding_window": 8}
    assert faster.obstacle(Qwen3ForCausalLM(Qwen3Config(**shape, **heads, use_sliding_window=True)))


class _Adapted(nn.Linear):
    """A linear layer of somebody else's."""


def _with_adapter(model: Any) -> None:
    model.model.layers[1].self_attn.q_proj.__class__ = _Adapted


def _with_hook(model: Any) -> None:
    model.model.layers[0].register_forward_hook(lambda *_: None)


def _with_dropout(model: Any) -> None:
    model.train()
    model.model.layers[0].self_attn.attention_dropout = 0.1


def _recomputing(model: Any) -> None:
    model.gradient_checkpointing_enable()


def _of_another_class(model: Any) -> None:
    layer = model.model.layers[1]
    layer.__class__ = type("Louder", (type(layer),), {"__module__": "somewhere"})


def _with_another_forward(model: Any) -> None:
    model.model.norm.forward = lambda states: states


def _with_another_scale(model: Any) -> None:
    model.model.layers[1].self_attn.scaling = 0.5


def _with_another_epsilon(model: Any) -> None:
    model.model.layers[0].input_layernorm.variance_epsilon = 1e-2


def _reading_both_ways(model: Any) -> None:
    model.model.layers[1].self_attn.is_causal = False


def _in_half_precision(model: Any) -> None:
    model.bfloat16()


def _with_a_hook_on_a_norm(model: Any) -> None:
    model.model.layers[1].post_attention_layernorm.register_forward_hook(lambda *_: None)


def _with_a_bias(model: Any) -> None:
    linear = model.model.layers[1].mlp.down_proj
    linear.bias = nn.Parameter(torch.zeros(linear.out_features, dtype=torch.float64))


CHANGES = [
    _with_adapter, _with_hook, _with_dropout, _recomputing, _in_half_precision, _of_another_class,
    _with_another_forward, _with_another_scale, _with_another_epsilon, _reading_both_ways,
    _with_a_hook_on_a_norm, _with_a_bias
]  # fmt: skip


@pytest.mark.parametrize("known_before", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_where_it_would_be_wrong_the_plain_way_is_taken_and_the_reason_is_known(change, known_before):
    model = model_of("llama")
    if known_before:
        assert faster.obstacle(model) is None
    change(model)
    assert faster.obstacle(model)
    assert NextToken().loss(model, batch_of(ROWS["padded rows"])).total.isfinite()


def test_an_exchanged_module_is_seen_and_so_is_its_going():
    model = model_of("llama")
    assert faster.obstacle(model) is None
    mlp = model.model.layers[1].mlp
    plain, mlp.up_proj = mlp.up_proj, _Adapted(64, 64)
    assert faster.obstacle(model)
    mlp.up_proj = plain
    handle = mlp.register_forward_hook(lambda *_: None)
    assert faster.obstacle(model)
    handle.remove()
    assert faster.obstacle(model) is None


@pytest.mark.parametrize("change", [{"compile": True}, {"gradient_checkpointing": True}, {"precision": "bf16-mixed"}])
def test_which_forward_a_run_takes_is_known_before_it_starts(change):
    model, recipe = model_of("llama").float().eval(), Recipe()
    assert forward_of(model, recipe)[0] == "fused"
    assert forward_of(model, recipe.child(**change))[0] == "modules"
    _with_dropout(model)
    model.eval()
    assert forward_of(model, recipe)[0] == "modules", "a run trains, whatever the model does now"
    assert not model.training


def test_padding_is_not_computed_on():
    model, batch = model_of("llama"), batch_of([(40,), (3,), (3,)])
    assert len(faster.hidden_states(model, batch.ids, None, batch.lengths).states) == 46
