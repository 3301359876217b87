"""Batched generation equals one row at a time, equals no cache, equals Transformers, and leaves no trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hone.errors import InputError
from hone.evaluate.generate import Sampling
from hone.evaluate.torch_choice import choose
from hone.evaluate.torch_generate import TorchGenerate, TorchLabels, TorchLogprobs

END = 3


@pytest.fixture(scope="module")
def prompts() -> list[list[int]]:
    generator = np.random.default_rng(7)
    return [generator.integers(4, 50, size=length).tolist() for length in [5, 9, 5, 3, 12, 9, 9, 1, 5, 20, 3, 7]]


def without_cache(model: Any, prompt: list[int], max_new_tokens: int) -> tuple[tuple[int, ...], bool]:
    ids: list[int] = []
    with torch.no_grad():
        while len(ids) < max_new_tokens:
            token = int(model(torch.tensor([prompt + ids]), use_cache=False).logits[0, -1].argmax())
            if token == END:
                return tuple(ids), True
            ids.append(token)
    return tuple(ids), False


def test_a_batch_with_cache_writes_what_each_row_alone_writes_without(llama, prompts):
    batch = TorchGenerate(llama)(prompts, max_new_tokens=20, end_id=END)
    assert [(found.ids, found.finished) for found in batch] == [without_cache(llama, p, 20) for p in prompts]
    # The prompts were chosen so that rows leave early and late, or the batch would prove little.
    assert {found.finished for found in batch} == {True, False}
    assert len({len(found.ids) for found in batch}) > 3


@pytest.mark.parametrize("batch_size", [1, 5])
def test_the_size_of_the_batch_changes_nothing(llama, prompts, batch_size):
    whole = TorchGenerate(llama)(prompts, max_new_tokens=20, end_id=END)
    assert TorchGenerate(llama, batch_size=batch_size)(prompts, max_new_tokens=20, end_id=END) == whole


def test_greedy_is_what_transformers_writes(llama, prompts):
    ours = TorchGenerate(llama)(prompts, max_new_tokens=15, end_id=END)
    for prompt, found in zip(prompts, ours, strict=True):
        ids = torch.tensor([prompt])
        theirs = llama.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=15, do_sample=False, eos_token_id=END
        )
        assert [*found.ids, *([END] if found.finished else [])] == theirs[0, len(prompt) :].tolist()


def test_a_buffer_that_must_grow_keeps_what_it_holds(llama):
    # 40 new tokens from a prompt of 4 pass the room of 32 columns; without an end id nothing stops early.
    prompt = [11, 12, 13, 14]
    (found,) = TorchGenerate(llama)([prompt], max_new_tokens=44, end_id=-1)
    full = torch.tensor([[*prompt, *found.ids]])
    with torch.no_grad():
        logits = llama(full, use_cache=False).logits[0]
    assert logits[3:-1].argmax(-1).tolist() == list(found.ids)


def test_the_context_bounds_what_is_written(llama, prompts):
    found = TorchGenerate(llama)(prompts, max_new_tokens=1000, end_id=-1)
    assert [len(p) + len(f.ids) for p, f in zip(prompts, found, strict=True)] == [48] * len(prompts)
    assert not any(f.finished for f in found)


def test_no_prompts_and_no_room_and_nothing_to_write(llama):
    generate = TorchGenerate(llama)
    assert generate([], max_new_tokens=5, end_id=END) == []
    assert generate([[5, 6]], max_new_tokens=0, end_id=END)[0].ids == ()
    with pytest.raises(InputError, match=r"2 of 3 prompts leave no room .* context of 48 ids; .* number 2 with 60"):
        generate([[5], [5] * 48, [5] * 60], max_new_tokens=5, end_id=END)
    with pytest.raises(InputError, match="1 of 2 prompts have no ids"):
        generate([[5], []], max_new_tokens=5, end_id=END)


def test_sampling_belongs_to_the_prompt_and_not_to_the_batch(llama, prompts):
    sampling = Sampling(temperature=1.0, top_k=20, top_p=0.95, seed=4)
    whole = TorchGenerate(llama)(prompts, max_new_tokens=12, end_id=END, sampling=sampling)
    backwards = TorchGenerate(llama, batch_size=3)(prompts[::-1], max_new_tokens=12, end_id=END, sampling=sampling)
    assert backwards[::-1] == whole
    other = TorchGenerate(llama)(prompts, max_new_tokens=12, end_id=END, sampling=Sampling(temperature=1.0, seed=5))
    assert other != whole


def test_a_repeated_prompt_gets_a_text_of_its_own_each_time(llama):
    found = TorchGenerate(llama)([[7, 8, 9]] * 6, max_new_tokens=10, end_id=END, sampling=Sampling(temperature=2.0))
    assert len(set(found)) > 3


def test_top_k_of_one_is_greedy(llama, prompts):
    greedy = TorchGenerate(llama)(prompts, max_new_tokens=10, end_id=END)
    sampling = Sampling(temperature=3.0, top_k=1)
    assert TorchGenerate(llama)(prompts, max_new_tokens=10, end_id=END, sampling=sampling) == greedy


def test_draws_have_the_shares_of_the_softmax():
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    draws = [np.random.default_rng(index) for index in range(20_000)]
    for sampling, kept in ((Sampling(temperature=0.5), 4), (Sampling(temperature=2.0, top_k=3), 3)):
        shares = torch.softmax(logits.double() / sampling.temperature, -1)
        shares[torch.argsort(logits)[: 4 - kept]] = 0
        shares /= shares.sum()
        chosen = choose(logits.repeat(20_000, 1), sampling, draws)
        found = torch.bincount(chosen, minlength=4) / 20_000
        # Four standard errors of a share are at most 4 * 0.5 / sqrt(20,000) = 0.014.
        assert (found - shares).abs().max() < 0.014


def test_top_p_keeps_the_fewest_that_reach_it():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).repeat(2000, 1)
    draws = [np.random.default_rng(index) for index in range(2000)]
    assert set(choose(logits, Sampling(temperature=1.0, top_p=0.79), draws).tolist()) == {0, 1}
    assert set(choose(logits, Sampling(temperature=1.0, top_p=0.81), draws).tolist()) == {0, 1, 2}


def test_evaluating_in_the_middle_of_training_leaves_no_trace(llama, prompts):
    llama.train()
    try:
        state = torch.random.get_rng_state()
        TorchGenerate(llama)(prompts, max_new_tokens=3, end_id=END, sampling=Sampling(temperature=1.0))
        TorchLabels(llama)(prompts, [4, 5])
        TorchLogprobs(llama)(prompts)
        assert llama.training
        assert torch.equal(torch.random.get_rng_state(), state)
    finally:
        llama.eval()


def test_label_logprobs_are_those_of_the_whole_vocabulary(llama, prompts):
    found = TorchLabels(llama, batch_size=2)(prompts, list(range(50)))
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, rtol=1e-9)
    for prompt, line in zip(prompts, found, strict=True):
        np.testing.assert_allclose(line, TorchLogprobs(llama).next(prompt), atol=1e-5)


def test_token_logprobs_are_the_next_logprobs_at_each_position(llama, prompts):
    found = TorchLogprobs(llama)(prompts)
    assert [len(line) for line in found] == [len(prompt) - 1 for prompt in prompts]
    prompt = prompts[4]
    each = [TorchLogprobs(llama).next(prompt[:place])[prompt[place]] for place in range(1, len(prompt))]
    np.testing.assert_allclose(found[4], each, atol=1e-5)


def test_a_model_that_knows_nothing_has_a_perplexity_of_its_vocabulary(llama, prompts):
    head = llama.lm_head.weight.data.clone()
    try:
        llama.lm_head.weight.data.zero_()
        bits = np.concatenate(TorchLogprobs(llama)(prompts)) / -np.log(2)
    finally:
        llama.lm_head.weight.data.copy_(head)
    np.testing.assert_allclose(bits, np.log2(50), rtol=1e-6)
