"""Freed memory stays with the process while a run trains, and goes back at its end."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest
import torch

from hone.train.pages import kept_pages

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is on Linux")
NUMBERS = 12_000_000
"""48 MB: more than glibc ever keeps on its heap by itself."""


def faults_of_a_tensor() -> int:
    """Pages that the kernel had to hand out for making a tensor, filling it and dropping it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(NUMBERS).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_a_tensor_that_is_made_again_takes_no_new_pages() -> None:
    pages = 4 * NUMBERS // resource.getpagesize()
    with kept_pages():
        faults_of_a_tensor()
        again = faults_of_a_tensor()
    assert again < pages / 10


def test_what_was_kept_is_given_back() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()

    with kept_pages():
        faults_of_a_tensor()
        kept = resident()
    assert kept - resident() > 4 * NUMBERS / 2
