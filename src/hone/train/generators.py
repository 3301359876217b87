"""Every random generator of this process as tensors, so that a resumed run draws the same numbers.

Kept: torch's CPU generator and one per CUDA device or Apple GPU, NumPy's legacy global and Python's global. The
order of the data needs none of them (see :mod:`hone.train.source`); dropout and whatever a user's callable draws do.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

_NO_GAUSS = float("nan")


def generator_states() -> dict[str, Tensor]:
    """States of all generators by name, as CPU tensors."""
    version, words, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002  (this very generator is kept)
    states = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor([version, *words], dtype=torch.int64),
        "python-gauss": torch.tensor(_NO_GAUSS if gauss is None else gauss, dtype=torch.float64),
        "numpy": torch.tensor([*np.asarray(keys).tolist(), int(position), int(has_gauss)], dtype=torch.int64),
        "numpy-gauss": torch.tensor(float(cached), dtype=torch.float64),
    }
    if torch.cuda.is_available():
        states |= {f"cuda-{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


@contextlib.contextmanager
def generators_of_a_run(seed: int, rank: int) -> Iterator[None]:
    """Seed every generator for a run inside the block, and give the caller's back behind it.

    Each process draws its own numbers, as dropout on other rows should.
    """
    before = generator_states()
    seed_generators(seed, rank)
    try:
        yield
    finally:
        set_generator_states(before)


def seed_generators(*numbers: int) -> None:
    """Seed every generator of this process with some numbers: seed and rank, and the step where a rank joins a run."""
    sequence = np.random.SeedSequence(list(numbers))
    torch_seed, numpy_seed, python_seed = (int(word) for word in sequence.generate_state(3))
    torch.manual_seed(torch_seed)
    np.random.seed(numpy_seed)  # noqa: NPY002  (this very generator is kept)
    random.seed(python_seed)


def set_generator_states(states: Mapping[str, Tensor]) -> None:
    """Put back what :func:`generator_states` gave. States of CUDA devices that are not here are left out."""
    torch.set_rng_state(states["torch"])
    version, *words = states["python"].tolist()
    gauss = states["python-gauss"].item()
    random.setstate((version, tuple(words), None if math.isnan(gauss) else gauss))
    *keys, position, has_gauss = states["numpy"].tolist()
    cached = states["numpy-gauss"].item()
    legacy = ("MT19937", np.array(keys, dtype=np.uint32), position, has_gauss, cached)
    np.random.set_state(legacy)  # noqa: NPY002  (this very generator is kept)
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            if f"cuda-{index}" in states:
                torch.cuda.set_rng_state(states[f"cuda-{index}"], index)
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])
