"""How well a device is used: model FLOP/s over the device's peak (MFU; A. Chowdhery et al., arXiv:2204.02311).

The peak is a published figure of a known device, or what this machine's own matrix products reach. An unknown device
has no MFU: a guessed peak would make any number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hone.errors import InputError
from hone.model.estimate import flops_per_token

if TYPE_CHECKING:
    from hone.model.estimate import Model

PEAKS_BF16 = {
    "H100 SXM": 989e12,
    "H100 80GB HBM3": 989e12,
    "H200": 989e12,
    "A100": 312e12,
}
"""Dense bf16 FLOP/s by a part of the device's name (NVIDIA's data sheets, without sparsity). ``H100 80GB HBM3`` is what
the driver calls the SXM card; the PCIe card has another clock and another name, and is not here."""
GEMM_SIZE = 1024
GEMM_REPEATS = 8


def peak_flops(device_name: str) -> float:
    """Peak dense bf16 FLOP/s of a device by its name, as ``torch.cuda.get_device_name`` gives it.

    Raises:
        InputError: for a device whose peak is not known.
    """
    for part, peak in PEAKS_BF16.items():
        if part in device_name:
            return peak
    raise InputError(
        f'the peak of "{device_name}" is not known, so no share of it can be told; known: '
        f"{', '.join(sorted(PEAKS_BF16))}. On a CPU the peak is measured"
    )


def mfu(model: Model, tokens_per_row: float, tokens_per_second: float, peak: float) -> float:
    """Share of the peak that training reaches: tokens a second * (6 N + 12 L h T) / peak.

    ``N`` counts all matrices with the output one, without the input embedding.
    """
    return tokens_per_second * flops_per_token(model, tokens_per_row).value / peak


def measured_gemm_flops(threads: int = 1) -> float:
    """FLOP/s of float32 products of 1024 x 1024 matrices on this CPU: the best of eight, after a warm-up."""
    import time

    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        left, right = (torch.randn(GEMM_SIZE, GEMM_SIZE) for _ in range(2))
        out = left @ right
        best = float("inf")
        for _ in range(GEMM_REPEATS):
            started = time.perf_counter()
            torch.mm(left, right, out=out)
            best = min(best, time.perf_counter() - started)
    finally:
        torch.set_num_threads(before)
    return 2 * GEMM_SIZE**3 / best
