"""Mixtures by layer: never over the budget, and none better exists."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hone.deploy.gguf.mixtures import KIND_BITS, matrix_kinds
from hone.deploy.quantization.mixed import LADDERS, Choice, best_mixture, ladders_of
from hone.deploy.weights import stored_bytes, weight_format
from hone.errors import InputError


def choices(seed: int, count: int = 6) -> dict[str, list[Choice]]:
    generator = np.random.default_rng(seed)
    found = {}
    for index in range(count):
        size, cost = int(generator.integers(20, 90)), float(generator.lognormal())
        found[f"m{index}"] = [
            Choice(kind="q4_0", size_bytes=size, cost=cost),
            Choice(kind="q8_0", size_bytes=2 * size, cost=cost * float(generator.uniform(0.01, 0.5))),
            Choice(kind="f16", size_bytes=4 * size, cost=0.0),
        ]
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("room", [1.0, 1.3, 2.0, 3.1, 4.0])
def test_the_mixture_is_the_best_of_all_that_keep_the_budget(seed: int, room: float) -> None:
    kinds = choices(seed)
    budget = int(room * sum(each[0].size_bytes for each in kinds.values()))
    found = best_mixture(kinds, budget)
    all_of_them = [
        (sum(one.cost for one in taken), sum(one.size_bytes for one in taken)) for taken in product(*kinds.values())
    ]
    best = min(cost for cost, size in all_of_them if size <= budget)
    assert found.size_bytes <= budget
    assert found.cost == pytest.approx(best)
    taken = [next(one for one in each if one.kind == found.kinds[name]) for name, each in kinds.items()]
    assert (sum(one.size_bytes for one in taken), sum(one.cost for one in taken)) == pytest.approx(
        (found.size_bytes, found.cost)
    )


def test_sixty_matrices_of_three_shapes_are_solved_at_once() -> None:
    one = choices(1, 60)
    sizes = [1152, 2304, 6912]
    same = {
        name: [
            Choice(kind=kind.kind, size_bytes=sizes[at % 3] * 2**step, cost=kind.cost)
            for step, kind in enumerate(kinds)
        ]
        for at, (name, kinds) in enumerate(one.items())
    }
    least = sum(kinds[0].size_bytes for kinds in same.values())
    found = best_mixture(same, int(1.5 * least))
    assert found.size_bytes <= 1.5 * least
    assert set(found.kinds.values()) >= {"q4_0", "q8_0"}


def test_a_budget_that_nothing_keeps_is_refused_with_both_numbers() -> None:
    kinds = choices(0)
    least = sum(each[0].size_bytes for each in kinds.values())
    with pytest.raises(InputError, match=f"{least:,} bytes at least, and {least - 1:,} are left"):
        best_mixture(kinds, least - 1)


def test_bytes_of_a_matrix_count_its_scales() -> None:
    """18 bytes to 32 weights of 4 bits, 34 to those of 8, as the GGUF specification has them."""
    for weights, size in (("q4_0", 8 * 18), ("int8", 8 * 34), ("f16", 8 * 64), ("int4-g64", 4 * 34)):
        assert stored_bytes({"m": (4, 64)}, weight_format(weights)) == size


@pytest.mark.parametrize("weights", ["q4_k_m", "q5_k_m", "q4_0", "q8_0"])
def test_no_matrix_may_have_a_smaller_kind_than_its_format_gives_it(weights: str) -> None:
    shapes = {"model.embed_tokens.weight": (512, 256)}
    for layer in range(8):
        shapes |= {f"model.layers.{layer}.self_attn.{part}_proj.weight": (256, 256) for part in "qkvo"}
        shapes |= {f"model.layers.{layer}.mlp.{part}_proj.weight": (256, 256) for part in ("gate", "up", "down")}
    own, found = matrix_kinds(shapes, weights), ladders_of(shapes, weights)
    assert set(found) == set(shapes)
    for name, kinds in found.items():
        assert kinds[0] == own[name]
        assert set(kinds) == {one for one in LADDERS[weights] if KIND_BITS[one] >= KIND_BITS[own[name]]}
    if weights == "q4_k_m":
        assert {kinds[0] for kinds in found.values()} == {"q4_k", "q6_k"}
