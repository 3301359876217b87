"""Packing: which examples share a sequence, so that little of it is padding.

Best-fit decreasing: longest first, each into the fullest sequence that still has room. Nothing is ever cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from hone.errors import InputError


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Group indices so that each group's lengths sum to at most ``capacity``.

    Groups come in the order in which they were opened, and the result depends on the lengths alone.

    Raises:
        InputError: when a length is larger than ``capacity``.
    """
    too_long = [index for index, length in enumerate(lengths) if length > capacity]
    if too_long:
        raise InputError(
            f"{len(too_long):,} of {len(lengths):,} examples are longer than the context of {capacity:,} tokens "
            f"(the longest has {max(lengths):,}) and cannot be packed; set overlong, or raise the context"
        )
    groups: list[list[int]] = []
    by_room: defaultdict[int, list[int]] = defaultdict(list)  # free tokens -> groups, a stack each
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[index]
        room = next((free for free in range(length, capacity + 1) if by_room[free]), None)
        if room is None:
            group, room = len(groups), capacity
            groups.append([])
        else:
            group = by_room[room].pop()
        groups[group].append(index)
        by_room[room - length].append(group)
    return groups


def efficiency(groups: Sequence[Sequence[int]], lengths: Sequence[int], capacity: int) -> float:
    """Share of the packed sequences that is real tokens, between 0 and 1."""
    return sum(lengths[index] for group in groups for index in group) / (capacity * len(groups)) if groups else 1.0
