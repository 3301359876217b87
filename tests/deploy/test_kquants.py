"""Blocks of quantized weights: bytes as other readers read them, and errors no larger than other writers make."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.deploy.gguf.blocks import encode, pack_codes
from hone.deploy.gguf.kquants import AFFINE_TOP, affine_blocks, six_blocks
from hone.deploy.weights import Codes
from hone.errors import FailedError

gguf = pytest.importorskip("gguf")

K_KINDS = ("q4_k", "q5_k", "q6_k")
SMALL_KINDS = ("q4_0", "q5_0", "q8_0")


def read(data: np.ndarray, kind: str) -> np.ndarray:
    return gguf.quants.dequantize(data, gguf.GGMLQuantizationType[kind.upper()])


def blocks(x: np.ndarray, weights: np.ndarray, kind: str):
    return six_blocks(x, weights) if kind == "q6_k" else affine_blocks(x, weights, AFFINE_TOP[kind])


def odd_super_blocks() -> np.ndarray:
    """Super-blocks on which a careless search divides by nothing, or has no code to put a value."""
    random = np.random.default_rng(3)
    usual = random.normal(0, 0.02, 256)
    outlier = np.where(np.arange(256) == 100, 5.0, usual)
    ramp = np.linspace(-1, 1, 256)
    half_empty = np.where(np.arange(256) < 128, 0.0, usual)
    rows = [np.zeros(256), np.full(256, 0.3), np.full(256, -0.3), usual, np.abs(usual), -np.abs(usual) - 1, outlier]
    rows += [ramp, ramp + 7, half_empty, usual * 1e-9, usual * 1e-25, usual * 1e5, random.standard_t(1.5, 256)]
    return np.stack(rows).astype(np.float32)


@st.composite
def matrices(draw) -> np.ndarray:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = (draw(st.integers(1, 3)), 256 * draw(st.integers(1, 2)))
    values = random.standard_t(draw(st.sampled_from([2, 5, 100])), size) * 10.0 ** draw(st.integers(-4, 2))
    return (values + draw(st.sampled_from([0.0, 0.1, -3.0]))).astype(np.float32)


@pytest.mark.parametrize("kind", K_KINDS)
@settings(max_examples=20, deadline=None)
@given(x=matrices())
def test_another_reader_finds_exactly_our_values_in_our_bytes(kind, x):
    x = x.reshape(-1, 256)
    made = blocks(x, np.ones_like(x), kind)
    np.testing.assert_array_equal(read(made.pack(), kind), made.values())


@pytest.mark.parametrize("kind", K_KINDS)
def test_odd_super_blocks_are_read_as_written_and_are_finite(kind):
    x = odd_super_blocks()
    made = blocks(x, np.ones_like(x), kind)
    np.testing.assert_array_equal(read(made.pack(), kind), made.values())
    assert np.isfinite(made.values()).all()
    assert (made.values()[0] == 0).all()
    # The spread of a super-block, or its size where it has none, over the steps that the format has.
    steps = {"q4_k": 15, "q5_k": 31, "q6_k": 31}[kind]
    room = np.abs(x).max(axis=1, keepdims=True) * (2 / steps) + 1e-7
    assert (np.abs(made.values() - x) <= room).all()


def plain_min_max(x: np.ndarray, top: int) -> np.ndarray:
    """Q4_K and Q5_K with each group's scale and minimum by its extremes: the simplest writer of the layout."""
    groups = x.reshape(-1, 8, 32).astype(np.float64)
    low = np.minimum(groups.min(-1), 0)
    scale, minimum = (groups.max(-1) - low) / top, -low
    d = (scale.max(1) / 63).astype(np.float16).astype(np.float64)[:, None]
    dmin = (minimum.max(1) / 63).astype(np.float16).astype(np.float64)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        step = d * np.minimum(np.rint(np.nan_to_num(scale / d)), 63)
        below = dmin * np.minimum(np.rint(np.nan_to_num(minimum / dmin)), 63)
        codes = np.clip(np.nan_to_num(np.rint((groups + below[..., None]) / step[..., None])), 0, top)
    return (codes * step[..., None] - below[..., None]).reshape(-1, 256)


@pytest.mark.parametrize("kind", ["q4_k", "q5_k"])
@settings(max_examples=20, deadline=None)
@given(x=matrices())
def test_no_super_block_is_worse_than_by_its_extremes(kind, x):
    x = x.reshape(-1, 256)
    ours = ((blocks(x, np.ones_like(x), kind).values() - x) ** 2).sum(1)
    plain = ((plain_min_max(x, AFFINE_TOP[kind]) - x) ** 2).sum(1)
    assert (ours <= plain * (1 + 1e-4)).all()


@pytest.mark.parametrize("kind", K_KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_errors_are_no_larger_than_llama_cpps_own(kind, weighted):
    spec = importlib.util.find_spec("xllamacpp")
    if spec is None:
        pytest.skip("xllamacpp is not installed")
    library = ctypes.CDLL(str(next(Path(str(spec.origin)).parent.glob("xllamacpp*.so"))))
    random = np.random.default_rng(1)
    x = (random.standard_t(5, (64, 1024)) * 0.02).astype(np.float32)
    importance = np.exp(random.standard_normal(1024)).astype(np.float32)
    number = gguf.GGMLQuantizationType[kind.upper()]
    theirs = np.zeros((64, 1024 // 256 * gguf.GGML_QUANT_SIZES[number][1]), np.uint8)
    quantize = library.ggml_quantize_chunk
    sizes = (ctypes.c_int64(0), ctypes.c_int64(64), ctypes.c_int64(1024))
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (x, theirs, importance)]
    library.ggml_quantize_init(int(number))
    quantize.restype = ctypes.c_size_t
    assert quantize(int(number), *pointers[:2], *sizes, pointers[2] if weighted else None) == theirs.size
    ours = encode(x, kind, importance if weighted else None)
    counts = importance if weighted else np.ones(1024, np.float32)
    assert ((read(ours, kind) - x) ** 2 @ counts).sum() <= ((read(theirs, kind) - x) ** 2 @ counts).sum() * 1.005


@pytest.mark.parametrize("kind", K_KINDS)
def test_values_on_the_grid_of_the_format_come_back_exactly(kind):
    # Worked by hand: with every group's largest scale code (63, or -128) the shared scale is a power of two.
    random = np.random.default_rng(0)
    if kind == "q6_k":
        codes = random.integers(-32, 32, (2, 16, 16))
        codes[..., 0] = -32
        x = codes * 2.0**-3
    else:
        codes = random.integers(0, AFFINE_TOP[kind] + 1, (2, 8, 32))
        codes[..., 0], codes[..., 1] = 0, AFFINE_TOP[kind]
        x = codes * (63 * 2.0**-8)
    x = x.reshape(2, 256).astype(np.float32)
    np.testing.assert_array_equal(read(encode(x, kind), kind), x)


@pytest.mark.parametrize("kind", K_KINDS + SMALL_KINDS)
def test_important_columns_get_smaller_errors(kind):
    random = np.random.default_rng(2)
    x = random.normal(0, 0.02, (200, 512)).astype(np.float32)
    importance = np.where(np.arange(512) % 8 == 0, 40.0, 1.0).astype(np.float32)
    plain, weighted = ((read(encode(x, kind, how), kind) - x) ** 2 for how in (None, importance))
    assert (weighted @ importance).sum() < (plain @ importance).sum()
    # Columns that calibration never saw active count little, and nothing divides by their sum.
    assert np.isfinite(read(encode(x, kind, np.zeros(512, np.float32)), kind)).all()


def test_a_chunk_is_rounded_as_if_alone(monkeypatch):
    from hone.deploy.gguf import blocks as room

    random = np.random.default_rng(4)
    x = random.normal(0, 1, (6, 768)).astype(np.float32)
    importance = random.uniform(0.1, 2, 768).astype(np.float32)
    whole = {kind: encode(x, kind, importance) for kind in K_KINDS + SMALL_KINDS}
    monkeypatch.setattr(room, "CHUNK", 512)
    for kind, data in whole.items():
        np.testing.assert_array_equal(encode(x, kind, importance), data)


@pytest.mark.parametrize(("bits", "kind", "low", "high"), [(4, "q4_0", -8, 8), (8, "q8_0", -127, 128)])
def test_ready_codes_are_packed_as_they_are(bits, kind, low, high):
    random = np.random.default_rng(5)
    codes = random.integers(low, high, (3, 96)).astype(np.int8)
    scales = random.normal(0, 0.1, (3, 3)).astype(np.float16)
    packed = pack_codes(Codes(codes=codes, scales=scales, bits=bits, block=32), kind)
    expected = np.repeat(scales.astype(np.float32), 32, axis=1) * codes
    np.testing.assert_array_equal(read(packed, kind), expected)


@pytest.mark.parametrize("kind", ["f16", *K_KINDS, *SMALL_KINDS])
def test_values_that_would_become_infinite_are_refused(kind):
    with pytest.raises(FailedError, match=rf"holds values up to 1e\+09; {kind} says numbers up to"):
        encode(np.full((1, 256), 1e9, np.float32), kind)
    most = 65504.0 * (-1 if kind == "q4_0" else 1)
    assert np.isfinite(read(encode(np.full((1, 256), most, np.float32), kind), kind)).all()
