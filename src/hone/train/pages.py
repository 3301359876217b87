"""Memory that one step frees stays with the process for the next one.

A step's activations are made, freed and made again at the same places. glibc hands what lies free at the end of its
heap back to the kernel, and every page of it is then zeroed anew at its first touch: 11,000 pages a step at 5 million
parameters, 4 to 6 % of its time (``mallopt(3)``). Blocks of over 32 MB are mapped by themselves, as they are without
this: on the heap their aligned places are not found again when a small object lies beside, and it grows without end.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
KEPT_BYTES = 1 << 30
"""So much may lie free at the end of the heap."""
LARGEST_BLOCK_BYTES = 32 << 20
"""On the heap. glibc's own threshold moves up to here as blocks are freed; setting any other stops it where it is."""


@contextlib.contextmanager
def kept_pages() -> Iterator[None]:
    """Keep freed memory inside the block, and give it back at the end; elsewhere than on glibc nothing is changed."""
    library = _glibc()
    if library is None or not library.mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK_BYTES):
        yield
        return
    library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    try:
        yield
    finally:
        library.mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_BLOCK_BYTES)
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """The C library of this process where it is glibc."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt") else None
