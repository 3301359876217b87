"""Tables as lines of text."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose columns stand under each other; columns that are empty in every row are left out."""
    kept = [index for index in range(len(head)) if any(row[index] for row in rows)]
    lines = [[line[index] for index in kept] for line in ([head, *rows] if any(head) else rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(kept))] if lines else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
