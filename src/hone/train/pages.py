"""Memory that one step frees stays with the process for the next one.

A step's activations are made, freed and made again at the same places. glibc hands what lies free at the end of its
heap back to the kernel, and takes blocks of over 32 MB from it each time; every page of them is then zeroed anew at its
first touch: 11,000 to 20,000 pages a step at 5 and 15 million parameters, 3 to 6 % of its time (``mallopt(3)``).
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
KEPT_BYTES = 1 << 30
"""So much may lie free at the end of the heap, and so large may a block on it be where the library takes that: its
manual page allows 32 MB."""
DYNAMIC_MMAP_BYTES = 32 << 20
"""Where glibc's own thresholds end up in a process that has freed a large block; they cannot be made to move again."""


@contextlib.contextmanager
def kept_pages() -> Iterator[None]:
    """Keep freed memory inside the block, and give it back at the end; elsewhere than on glibc nothing is changed."""
    library = _glibc()
    if library is None:
        yield
        return
    # A library that refuses leaves its thresholds moving, and any other call would stop them where they are: too low.
    if not any(library.mallopt(M_MMAP_THRESHOLD, most) for most in (KEPT_BYTES, DYNAMIC_MMAP_BYTES)):
        yield
        return
    library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    try:
        yield
    finally:
        library.mallopt(M_MMAP_THRESHOLD, DYNAMIC_MMAP_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, 2 * DYNAMIC_MMAP_BYTES)
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """The C library of this process where it is glibc."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt") else None
