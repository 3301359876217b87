"""Which parameters are trained, and how fast each layer of them moves.

The depth of a parameter is read from its name: embeddings are 0, layer ``N`` is ``N + 1``, and what stands behind the
layers (the last norm, a pooler, the head) is the deepest. A matrix that is embedding and head at once counts as an
embedding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from torch import nn

from hone.errors import InputError, nearest

LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")
"""The number of its layer in a parameter's name, as Llama, BERT, GPT-2 and T5 write it."""


def frozen_names(model: nn.Module, patterns: Sequence[str]) -> set[str]:
    """Names of the parameters that are left out of training by patterns, all names of a tensor that has several.

    Raises:
        InputError: for each pattern that matches nothing, with the nearest name; or when nothing is left to train.
    """
    named = list(model.named_parameters(remove_duplicate=False))
    names = [name for name, _ in named]
    unmatched = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names)]
    if unmatched:
        raise InputError(
            [
                f'freeze "{pattern}" matches none of the {len(names):,} parameters; {_nearest_name(pattern, names)}'
                for pattern in unmatched
            ]
        )
    frozen = {id(param) for name, param in named if any(fnmatchcase(name, pattern) for pattern in patterns)}
    if all(id(param) in frozen for _, param in named if param.requires_grad):
        raise InputError(f"freeze {', '.join(patterns)} leaves none of the {len(names):,} parameters to train")
    return {name for name, param in named if id(param) in frozen}


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Clear ``requires_grad`` of the parameters whose names match one of ``patterns``; see :func:`frozen_names`.

    It has to come before the model is wrapped for several processes, which remember what is trained.
    """
    frozen = frozen_names(model, patterns)
    for name, param in model.named_parameters():
        if name in frozen:
            param.requires_grad_(False)


def trained_names(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """First names of the parameters that are trained when ``patterns`` are frozen."""
    frozen = frozen_names(model, patterns)
    return [name for name, param in model.named_parameters() if param.requires_grad and name not in frozen]


def depths(model: nn.Module) -> dict[str, int]:
    """The depth of every parameter by its first name, 0 for embeddings."""
    embeddings = {
        id(param) for module in model.modules() if isinstance(module, nn.Embedding) for param in module.parameters()
    }
    found: dict[str, int | None] = {}
    for name, param in model.named_parameters():
        layer = LAYER.search(name)
        if layer is not None:
            found[name] = int(layer.group(1)) + 1
        else:
            found[name] = 0 if id(param) in embeddings or "embed" in name else None
    top = max((depth for depth in found.values() if depth is not None), default=0) + 1
    return {name: top if depth is None else depth for name, depth in found.items()}


def rate_shares(model: nn.Module, trained: Sequence[str], layer_decay: float) -> dict[str, float]:
    """The share of the peak rate that each of the ``trained`` moves with: ``layer_decay`` to the layers above it.

    Raises:
        InputError: when rates are to fall by layer and no name says a layer.
    """
    if layer_decay == 1.0:
        return dict.fromkeys(trained, 1.0)
    if not any(LAYER.search(name) for name in trained):
        raise InputError(
            f"layer_decay is {layer_decay:g} and no trained parameter's name says its layer (such as .layers.3.); "
            f"the first is {trained[0]}: set layer_decay to 1"
        )
    by_depth = depths(model)
    top = max(by_depth.values())
    return {name: layer_decay ** (top - by_depth[name]) for name in trained}


def describe_layers(model: nn.Module, shares: Mapping[str, float], peaks: Mapping[str, float]) -> list[str]:
    """What is trained and how fast, as lines for a person.

    Args:
        model: the model.
        shares: of each trained parameter, as :func:`rate_shares` gives.
        peaks: the peak rate of each optimizer by its name.
    """
    params = list(model.named_parameters())
    trained = sum(param.numel() for name, param in params if name in shares)
    frozen = sum(param.numel() for name, param in params if name not in shares)
    lines = [f"{trained:,} parameters are trained" + (f", {frozen:,} are frozen" if frozen else "")]
    for first, *others in tied(model):
        if first not in shares:
            lines.append(f"{' and '.join([first, *others])} are one tensor, frozen for both")
        elif shares[first] < 1.0:
            lines.append(f"{' and '.join([first, *others])} are one tensor, with the rate of an embedding")
    rates = ", ".join(f"{name} {rate:.3g}" for name, rate in peaks.items())
    if set(shares.values()) == {1.0}:
        return [*lines, f"peak rates: {rates}"]
    by_depth = depths(model)
    top = max(by_depth.values())
    told = ", ".join(
        f"{_place(depth, top)} {share:.3g}" for depth, share in sorted({(by_depth[n], s) for n, s in shares.items()})
    )
    return [*lines, f"peak rates: {rates}, times by layer: {told}"]


def tied(model: nn.Module) -> list[list[str]]:
    """Names of each tensor that has several."""
    names: dict[int, list[str]] = {}
    for name, param in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(param), []).append(name)
    return [several for several in names.values() if len(several) > 1]


def _place(depth: int, top: int) -> str:
    return "embeddings" if depth == 0 else "head" if depth == top else f"layer {depth - 1}"


def _nearest_name(pattern: str, names: Sequence[str]) -> str:
    plain = re.sub(r"\[.*?\]|[*?]", "", pattern)
    close = [name for name in names if plain.strip(".") and plain.strip(".") in name]
    if close:
        return f'did you mean "*{plain.strip(".")}*", which matches {close[0]} and {len(close) - 1:,} more?'
    ends = sorted({part for name in names for part in name.split(".") if not part.isdigit()})
    hint = nearest(plain.strip("."), ends)
    return (
        f"{hint} (the first name is {names[0]})"
        if hint.startswith("did")
        else f"names are such as {names[0]}, {names[-1]}"
    )
