"""Embedding and output layer stored in kinds of their own, apart from the matrices of the layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hone.deploy.decoders import EMBEDDING, HEAD
from hone.deploy.encoders import ARCHITECTURES as ENCODERS
from hone.deploy.encoders import EMBEDDINGS
from hone.deploy.weights import FORMATS, WeightFormat, kind_bits
from hone.errors import InputError, nearest
from hone.wording import counted


@dataclass(frozen=True, kw_only=True, slots=True)
class Apart:
    """What is wished for: a kind of each runtime that is exported for; none: as the format says."""

    embedding: tuple[str, ...] = ()
    head: tuple[str, ...] = ()


NOTHING_APART = Apart()


def kinds_apart(
    config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], weights: WeightFormat, wish: Apart
) -> dict[str, str]:
    """Kinds by the names of the model folder's tensors.

    Args:
        config: the model's ``config.json``.
        shapes: of its tensors.
        weights: the format that everything else is stored in.
        wish: the kinds.

    Raises:
        InputError: for a kind that this runtime does not have, and a matrix that this model does not have or share.
    """
    places = {"--embedding": (wish.embedding, _embedding(shapes)), "--head": (wish.head, _head(config, shapes))}
    problems, found = [], {}
    for option, (kinds, (name, why_not)) in places.items():
        if not kinds:
            continue
        wrong = _kind_problems(option, kinds, weights)
        if not name:
            wrong.append(f"{option} {','.join(kinds)}: {why_not}")
        if not wrong:
            found[name] = next(kind for kind in kinds if kind in kind_bits(weights))
        problems += wrong
    if problems:
        raise InputError(problems)
    return found


def _kind_problems(option: str, kinds: Sequence[str], weights: WeightFormat) -> list[str]:
    """Sentences on kinds that are not known, and on a runtime of which none or several are named."""
    every = {kind for one in FORMATS.values() for kind in kind_bits(one)}
    problems = [f'{option} "{kind}" is no kind; {nearest(kind, sorted(every))}' for kind in kinds if kind not in every]
    own = [kind for kind in kinds if kind in kind_bits(weights)]
    if not problems and len(own) != 1:
        known = ", ".join(kind_bits(weights))
        named = f"names {len(own)} kinds of {weights.runtime}" if own else f"names no kind of {weights.runtime}"
        problems.append(f"{option} {','.join(kinds)} {named}, for {weights.name}; name one of {known}")
    return problems


def _embedding(shapes: Mapping[str, Sequence[int]]) -> tuple[str, str]:
    ends = (EMBEDDING, f"{EMBEDDINGS[0]}.weight")
    return next((name for name in shapes if name.endswith(ends)), ""), "this model has no embedding"


def _head(config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> tuple[str, str]:
    """The output layer, or why it has no kind of its own."""
    if config.get("model_type") in ENCODERS:
        return "", "an encoder has no output layer of its own, and what its head ends with stays in floats"
    if config.get("tie_word_embeddings") or HEAD not in shapes:
        return "", "embedding and output layer are one matrix here; --embedding says its kind"
    return HEAD, ""


def told(kinds: Mapping[str, str], weights: str) -> str:
    """What of a file is stored otherwise than its format says, for people."""
    few = 3
    if len(kinds) <= few:
        parts = ", ".join(f"{name} as {kind}" for name, kind in kinds.items())
    else:
        counts = {kind: sum(one == kind for one in kinds.values()) for kind in sorted(set(kinds.values()))}
        parts = ", ".join(f"{counted(count, 'matrix', 'matrices')} as {kind}" for kind, count in counts.items())
    return f"stored otherwise than {weights}: {parts}"
