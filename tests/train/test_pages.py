"""Freed memory stays with the process while a run trains, and goes back at its end."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest
import torch

from hone.train.pages import DYNAMIC_MMAP_BYTES, KEPT_BYTES, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, _glibc, kept_pages

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is on Linux")
NUMBERS = 12_000_000
"""48 MB: more than glibc ever keeps on its heap by itself."""


def faults_of_a_tensor(numbers: int = NUMBERS) -> int:
    """Pages that the kernel had to hand out for making a tensor, filling it and dropping it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(numbers).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


class Library:
    """A C library that refuses blocks of more than so many bytes on its heap, as mallopt(3) says."""

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, dict[int, int]()

    def mallopt(self, what: int, value: int) -> int:
        if what == M_MMAP_THRESHOLD and value > self.most:
            return 0
        self.taken[what] = value
        return 1

    def malloc_trim(self, left: int) -> int:
        return left


@pytest.mark.parametrize(
    ("most", "blocks", "trim"), [(1 << 40, 1 << 30, 1 << 30), (32 << 20, 32 << 20, 1 << 30), (512 << 10, None, None)]
)
def test_a_library_that_refuses_is_asked_for_less_or_left_alone(
    most: int, blocks: int | None, trim: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(most)
    monkeypatch.setattr("hone.train.pages._glibc", lambda: library)
    with kept_pages():
        assert (library.taken.get(M_MMAP_THRESHOLD), library.taken.get(M_TRIM_THRESHOLD)) == (blocks, trim)


def takes_large_blocks() -> bool:
    """Whether this process's library keeps blocks as large as those of the tests on its heap."""
    library = _glibc()
    taken = library is not None and bool(library.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES))
    if library is not None:
        library.mallopt(M_MMAP_THRESHOLD, DYNAMIC_MMAP_BYTES)
    return taken


def test_a_tensor_that_is_made_again_takes_no_new_pages() -> None:
    if not takes_large_blocks():
        pytest.skip("this C library maps blocks of more than 32 MB anew each time")
    pages = 4 * NUMBERS // resource.getpagesize()
    with kept_pages():
        # Smaller each time: an aligned block of the same size fits its old place only while nothing lies beside it.
        again = [faults_of_a_tensor(NUMBERS - 100_000 * each) for each in range(6)][1:]
    assert min(again) < pages / 10


def test_what_was_kept_is_given_back() -> None:
    if not takes_large_blocks():
        pytest.skip("this C library maps blocks of more than 32 MB anew each time")

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()

    with kept_pages():
        faults_of_a_tensor()
        kept = resident()
    assert kept - resident() > 4 * NUMBERS / 2
