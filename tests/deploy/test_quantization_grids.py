"""Symmetric grids: those of the ``gguf`` package to the bit, and scales that lose no more than plain rounding does."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from hone.deploy.quantization.gptq import gptq, output_error
from hone.deploy.quantization.grids import GRIDS, grid_of, nearest, recognised, searched, values_of
from hone.deploy.quantization.offered import as_written
from hone.errors import InputError


def matrix(seed: int = 0, rows: int = 24, columns: int = 128) -> np.ndarray:
    """Normal weights, with blocks that are awkward: zeros, tiny ones, and the largest magnitude twice."""
    found = (np.random.default_rng(seed).standard_normal((rows, columns)) * 0.1).astype(np.float32)
    found[1, :32] = 0
    found[2, :32] = 1e-8
    found[3, 5], found[3, 9] = -0.75, 0.75
    found[4, 40], found[4, 50] = 0.75, -0.75
    return found


def inputs(seed: int = 1, count: int = 600, columns: int = 128) -> np.ndarray:
    """Correlated inputs of unlike sizes, as hidden states are."""
    generator = np.random.default_rng(seed)
    mixed = generator.standard_normal((count, columns // 2)) @ generator.standard_normal((columns // 2, columns))
    found: np.ndarray = (mixed + generator.standard_normal((count, columns))) * generator.lognormal(size=columns)
    return found


@pytest.mark.parametrize("name", ["q4_0", "q8_0"])
def test_rounding_to_nearest_is_that_of_the_gguf_package(name: str) -> None:
    kind, plain = gguf.GGMLQuantizationType[name.upper()], matrix()
    theirs = gguf.quants.dequantize(gguf.quants.quantize(plain, kind), kind)
    assert np.array_equal(values_of(nearest(plain, *grid_of(name))), theirs)


@pytest.mark.parametrize("kind", ["q4_0", "q8_0"])
def test_the_writer_of_gguf_rounds_as_the_grid_does(kind: str) -> None:
    assert np.array_equal(as_written(matrix(), kind), values_of(nearest(matrix(), *grid_of(kind))))


@pytest.mark.parametrize("bits", [4, 8])
def test_what_lies_on_the_grid_is_rounded_to_itself(bits: int) -> None:
    once = values_of(nearest(matrix(), bits))
    assert np.array_equal(values_of(nearest(once, bits)), once)


@pytest.mark.parametrize("bits", [4, 8])
def test_values_on_any_grid_are_recognised_and_others_are_not(bits: int) -> None:
    values = values_of(searched(matrix(), bits))
    found = recognised(values, bits)
    assert found is not None
    assert np.array_equal(values_of(found), values)
    assert recognised(matrix(), bits) is None


def test_a_block_by_hand() -> None:
    """The largest magnitude, -1, is code -8, so the scale is 1/8; 0.9 would be code 7.2."""
    block = np.zeros((1, 32), np.float32)
    block[0, :4] = -1.0, 0.9, 0.5, 0.06
    codes = nearest(block, 4)
    assert codes.scales.tolist() == [[0.125]]
    assert codes.codes[0, :5].tolist() == [-8, 7, 4, 0, 0]


@pytest.mark.parametrize("bits", [4, 8])
def test_a_searched_scale_never_loses_more_in_any_block(bits: int) -> None:
    plain, worth = matrix(), np.random.default_rng(2).lognormal(size=128).astype(np.float32)
    lost = {
        how: (worth * np.square(plain - values_of(codes))).reshape(24, -1, 32).sum(-1)
        for how, codes in {"nearest": nearest(plain, bits), "searched": searched(plain, bits, worth)}.items()
    }
    assert (lost["searched"] <= lost["nearest"] * (1 + 1e-5)).all()
    assert lost["searched"].sum() < 0.95 * lost["nearest"].sum()


def test_outputs_lose_less_by_gptq_than_by_rounding_and_no_row_loses_more() -> None:
    plain, given = matrix(), inputs()
    hessian = given.T @ given / len(given)
    codes = gptq(plain, hessian, 4)
    lost = {
        how: np.square(given @ (plain - values_of(one)).T).mean(0)
        for how, one in {"gptq": codes, "nearest": nearest(plain, 4)}.items()
    }
    assert np.allclose(lost["gptq"], output_error(plain, codes, hessian), rtol=1e-6)
    assert (lost["gptq"] <= lost["nearest"] * (1 + 1e-9)).all()
    assert lost["gptq"].sum() < 0.6 * lost["nearest"].sum()
    assert codes.codes.min() >= -8
    assert codes.codes.max() <= 7


def test_inputs_that_are_never_there_leave_finite_codes() -> None:
    plain, given = matrix(), inputs()
    given[:, 7] = 0
    codes = gptq(plain, given.T @ given, 4)
    assert np.isfinite(values_of(codes)).all()
    assert abs(float(values_of(codes)[0, 7]) - float(plain[0, 7])) < 0.1


def test_what_has_no_grid_is_refused() -> None:
    with pytest.raises(InputError, match=r"q4_k_m are no symmetric grid.*int4, int4-g128, .*q4_0, q8_0"):
        grid_of("q4_k_m")
    with pytest.raises(InputError, match=r"\(24, 100\) does not divide into blocks of 32"):
        nearest(matrix(columns=128)[:, :100], 4)
    with pytest.raises(InputError, match="128 columns needs finite second moments"):
        gptq(matrix(), np.eye(64), 4)
    assert {grid_of(name).bits for name in GRIDS} == {4, 8}


@pytest.mark.parametrize("bits", [4, 8])
def test_a_smaller_group_never_loses_more_by_nearest_scales_and_a_whole_grid_holds_its_parts(bits: int) -> None:
    plain = matrix(columns=256)
    lost = [float(np.square(plain - values_of(nearest(plain, bits, block))).sum()) for block in (16, 32, 64, 128)]
    assert lost == sorted(lost)
    coarse = values_of(nearest(plain, bits, 64))
    for block in (16, 32, 64):
        found = recognised(coarse, bits, block)
        assert found is not None
        assert np.array_equal(values_of(found), coarse)
    assert recognised(coarse, bits, 128) is None


@pytest.mark.parametrize("block", [16, 64])
def test_gptq_in_groups_of_another_size_loses_less_than_rounding_in_them(block: int) -> None:
    plain, given = matrix(columns=128), inputs()
    codes = gptq(plain, given.T @ given, 4, block=block)
    assert codes.scales.shape == (len(plain), 128 // block)
    hessian = (given.T @ given).astype(np.float64)
    assert (
        output_error(plain, codes, hessian).sum() < 0.8 * output_error(plain, nearest(plain, 4, block), hessian).sum()
    )
