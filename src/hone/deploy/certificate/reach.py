"""How far a certificate reaches: the context that was measured beside the model's own, and the longest text compared.

What takes no context of its device's (a model without a task) is measured in a shorter one than it can take: its
memory, its times and its refusal are of that one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone.deploy.artifact.folder import describe
from hone.deploy.certificate.cases import Case


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """Lengths in tokens."""

    measured_context: int
    """That the artifact was opened with."""
    model_context: int | None
    """The longest sequence that the model takes; None for a model file that stands alone."""
    longest_compared: int | None
    """Of the texts that were compared with the original; None without one."""


def reach_of(artifact: Path, context: int, compared: Sequence[Case]) -> Reach:
    """How far a certificate reaches.

    Args:
        artifact: its folder or its model file.
        context: that it is measured in.
        compared: what is compared with the original; none without one.
    """
    own = (describe(artifact) or {}).get("context")
    return Reach(
        measured_context=context if own is None else min(context, int(own)),
        model_context=own,
        longest_compared=max((len(case.ids) for case in compared), default=None),
    )


def told_reach(document: Mapping[str, Any]) -> str:
    """What a certificate's plain values say nothing of, as a sentence; empty where the whole context was measured."""
    reach = document.get("reach") or {}
    measured, own = reach.get("measured_context"), reach.get("model_context")
    if measured is None or own is None or measured >= own:
        return ""
    return (
        f"measured in a context of {measured:,} tokens, of the {own:,} that the model takes: memory, times and the "
        f"refusal of longer prompts are of {measured:,}"
    )


def told_longest(document: Mapping[str, Any]) -> str:
    """How long the texts were that were compared, as a sentence; empty where none was."""
    longest = (document.get("reach") or {}).get("longest_compared")
    return "" if longest is None else f"the longest text that was compared has {longest:,} tokens, marks included"
