"""Freed memory stays with the process while a run trains, goes back at its end, and does not pile up."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest
import torch

from hone.train.pages import kept_pages

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is on Linux")
BLOCKS, BLOCK_NUMBERS = 5, 6_000_000
"""24 MB each, 120 MB in all: more than glibc keeps free at the end of its heap by itself (64 MB)."""


def faults_of_a_step(fewer: int = 0) -> int:
    """Pages that the kernel had to hand out for making some tensors, filling them and dropping all of them."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.empty(BLOCK_NUMBERS - fewer).fill_(1.0) for _ in range(BLOCKS)]
    del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def test_a_library_that_refuses_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Refusing:
        """Takes no threshold, as mallopt(3) allows it."""

        def mallopt(self, what: int, value: int) -> int:
            del value
            asked.append(what)
            return 0

    monkeypatch.setattr("hone.train.pages._glibc", Refusing)
    with kept_pages():
        pass
    assert len(asked) == 1, "setting one threshold would stop the others from moving"


def test_tensors_that_are_made_again_take_no_new_pages() -> None:
    pages = 4 * BLOCKS * BLOCK_NUMBERS // resource.getpagesize()
    with kept_pages():
        # Smaller each time: an aligned block of the same size fits its old place only while nothing lies beside it.
        again = [faults_of_a_step(100_000 * each) for each in range(6)][1:]
    assert min(again) < pages / 10


def test_what_was_kept_is_given_back() -> None:
    with kept_pages():
        faults_of_a_step()
        kept = resident_bytes()
    assert kept - resident_bytes() > 4 * BLOCKS * BLOCK_NUMBERS / 2


def test_large_blocks_with_small_ones_beside_them_do_not_pile_up() -> None:
    numbers = 9_400_000  # 38 MB: more than glibc keeps on its heap by itself
    small, resident = [], []
    with kept_pages():
        for each in range(24):
            first = torch.empty(numbers).fill_(1.0)
            second = torch.empty(numbers + 1_000_000).fill_(1.0)
            small += [torch.empty(100 * (each % 5 + 1)) for _ in range(each % 4)]
            del first
            third = torch.empty(numbers - 500_000).fill_(1.0)
            del second, third
            resident.append(resident_bytes())
    assert max(resident) - resident[0] < 6 * 4 * numbers, "two of them are alive at a time"
