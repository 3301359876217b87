"""The copying circuit is there before the first step: attention and loss show it on random repeated tokens.

Facts from outside: a previous-token head attends at distance 1, an induction head to the token after the earlier
occurrence (Olsson et al. 2022); a model that knows nothing has a loss of ln V on uniformly random tokens.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from hone.errors import InputError
from hone.model.induction import place_induction_heads
from hone.model.presets import from_scratch, preset

LENGTH = 16


@pytest.mark.parametrize(("arch", "name"), [("llama", "1m"), ("qwen3", "1m"), ("llama", "tiny")])
def test_a_fresh_model_copies_random_tokens_it_has_seen_once(arch: str, name: str) -> None:
    shape = replace(preset(name), arch=arch)  # type: ignore[arg-type]
    model = from_scratch(shape, 0, init_std=0.08)
    place_induction_heads(model, seed=0, std=0.08)
    model.set_attn_implementation("eager")  # type: ignore[operator]
    once = torch.randint(4, shape.vocab, (32, LENGTH), generator=torch.Generator().manual_seed(1))
    twice = torch.cat([once, once], dim=1)
    with torch.no_grad():
        out = model(input_ids=twice, output_attentions=True, use_cache=False)
    previous = out.attentions[0][:, 0].diagonal(-1, 1, 2).mean()
    # Position LENGTH + i holds a token that first stood at i; the token to copy stands at i + 1.
    found = torch.stack([out.attentions[1][:, 0, LENGTH + i, i + 1] for i in range(LENGTH - 1)]).mean()
    loss = functional.cross_entropy(out.logits[:, LENGTH:-1].flatten(0, 1), twice[:, LENGTH + 1 :].flatten())
    assert previous > 0.8
    assert found > 0.5
    assert loss < math.log(shape.vocab) - 1.5


def test_a_shape_without_room_is_refused_with_its_numbers() -> None:
    shape = replace(preset("tiny"), layers=1)
    with pytest.raises(InputError, match="1 layers"):
        place_induction_heads(from_scratch(shape, 0), seed=0, std=0.08)
