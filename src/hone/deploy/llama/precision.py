"""Keys, values and attention in 32 bits for artifacts whose weights have them.

By default llama.cpp keeps keys and values in 16 bits, and so do its fused attention and its encoders. That costs more
than the gate of 32 bits allows. The fields that change it lie behind those that :mod:`hone.deploy.llama.library` knows;
they are found by the defaults around them, and llama.cpp's own words confirm afterwards that they arrived.
"""

from __future__ import annotations

import ctypes as c

from hone.deploy.llama.library import ContextParams, Library
from hone.errors import FailedError

WORDS = 48
"""32-bit words of the structure that are searched."""
UNSET = (-1, -1, -1, -1)
"""Rotary scaling, pooling, kind of attention, fused attention: all are llama.cpp's to choose by default."""
HALVES = (0, 0, 0, 0, 1, 1, 0, 0, 0, 0)
"""Two pointers that are null, both types 1 (16 bits), two more pointers that are null."""
FUSED_AT, KEYS_AT = 3, 4
"""Places of fused attention and of the keys' type in these; the values' type follows."""


def widen(params: ContextParams) -> None:
    """Ask for attention in 32 bits.

    Raises:
        FailedError: when the fields are not where they can be told apart.
    """
    words = (c.c_int32 * WORDS).from_buffer(params)
    unset, halves = _only(words, UNSET), _only(words, HALVES)
    if unset is None or halves is None or halves < unset:
        raise FailedError(
            "llama.cpp's context has no fields for 32-bit keys and values where they were; use the version in "
            "constraints.txt, or weights f16"
        )
    words[unset + FUSED_AT] = 0
    words[halves + KEYS_AT] = words[halves + KEYS_AT + 1] = 0


def check_widened(library: Library, *, cached: bool) -> None:
    """Check what llama.cpp said while it made the context; ``cached``: whether it keeps keys and values.

    Raises:
        FailedError: when it did something else.
    """
    wanted = {"flash_attn": "disabled", **({"K (": "K (f32)", "V (": "V (f32)"} if cached else {})}
    for part, words in wanted.items():
        said = library.heard(part)
        if words not in said:
            raise FailedError(
                f'llama.cpp was asked for 32-bit attention and says "{said or "nothing"}": its layout has changed; use '
                "the version in constraints.txt, or weights f16"
            )


def _only(words: c.Array[c.c_int32], pattern: tuple[int, ...]) -> int | None:
    """Where a pattern stands, if at one place alone."""
    size = len(pattern)
    found = [at for at in range(WORDS - size + 1) if tuple(words[at : at + size]) == pattern]
    return found[0] if len(found) == 1 else None
