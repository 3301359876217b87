"""Merging an adapter into its base with PEFT: what comes out is held against what went in.

That it computes the same is seen by its logits; that the adapter changed something, by its weights.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.errors import FailedError, InputError
from hone.files import read_json
from hone.model.vocabulary import embedding_rows
from hone.model.weights import ADAPTER_CONFIG, Opening, load_with_fresh
from hone.wording import counted

if TYPE_CHECKING:
    from torch import Tensor, nn

TOLERANCE = 1e-4
"""Of a logit, as a share of the largest (and at least of 1): what rounding of merged weights may cost in 32 bits."""
ROUNDING = 1e-6
"""Of the largest in a tensor: what merging may change without having changed anything."""
PROBED_IDS = 32
"""Ids over all of a base's vocabulary whose logits are compared."""
PROBED_ROWS = 96
"""And of those whose rows the adapter brings or trains, so many at most."""
PREFIX = "base_model.model."
"""What PEFT puts before the names of a base's tensors."""
_WRAPPED = re.compile(r"\.(token_adapter|base_layer)\b")
"""And into them where it has put layers of its own around theirs."""


def merged(
    folder: Path, kind: str, tensors: Mapping[str, Tensor], base: Path, opening: Opening
) -> tuple[nn.Module, str]:
    """A base with an adapter merged into its weights, and what that changed, as a line.

    Args:
        folder: the adapter's.
        kind: PEFT's name of its type.
        tensors: all that its file holds.
        base: the base's folder.
        opening: what the base is opened for.

    Raises:
        InputError: when PEFT is not installed, does not know the type, cannot merge it or read its configuration; when
            the tensors are not those that the base takes, or change no weight of it (rows of new tokens aside, unless
            they were trained).
        FailedError: when the base's weights are damaged, or merged they compute something else than attached.
    """
    module, fresh = load_with_fresh(base, opening)
    # Of an encoder without a head only its pooler can be new, which nothing reads.
    if lacking := sorted(name for name in fresh if PREFIX + name not in tensors and opening.use != "embed"):
        raise InputError(f"neither {base} nor {folder} has {', '.join(lacking[:3])}, which the task needs")
    rows = embedding_rows({_WRAPPED.sub("", name): tuple(tensor.shape) for name, tensor in tensors.items()})
    before, own = _sketches(module), int(module.get_input_embeddings().weight.shape[0])  # type: ignore[operator]
    if rows is not None and rows != own:
        module.resize_token_embeddings(rows, mean_resizing=False)  # type: ignore[operator]
    tied = bool(getattr(module.config, "tie_word_embeddings", False))
    attached = _attached(module, folder, kind, tensors)
    ids, brought = _probed_ids(folder, own, rows or own), _rows_beyond(attached.get_base_model(), own)
    try:
        expected = _logits(attached, ids)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: PEFT {_version()} cannot run it on this base: {_line(error)}") from error
    found = _merged(attached, folder, kind, tied)
    largest = max(1.0, float(expected.abs().max()))
    apart = float((_logits(found, ids) - expected).abs().max()) / largest
    if not apart <= TOLERANCE:
        raise FailedError(
            f"{folder}: merged, its logits are off by {apart:.2g} of the largest from those of the adapter attached; "
            f"{TOLERANCE:g} is allowed. Adapters of type {kind} with these settings cannot be merged"
        )
    changed = _changed(before, found)
    if not changed and not any((a != b).any() for a, b in zip(brought, _rows_beyond(found, own), strict=True)):
        aside = f" (rows of {counted(len(brought[0]), 'new token')} aside)" if len(brought[0]) else ""
        raise InputError(
            f"{folder} changes no weight of its base{aside}: it was never trained, or its weights were not saved"
        )
    said = f"{changed:,} of {counted(len(before), 'tensor')} are other than the base's"
    return found, f"merged, {apart:.1g} of a logit off the adapter attached; {said}"


def _attached(module: nn.Module, folder: Path, kind: str, tensors: Mapping[str, Tensor]) -> Any:
    """The base with the adapter on it, all of whose tensors were read."""
    try:
        from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftModel, get_peft_model_state_dict
    except ImportError as error:
        raise InputError(
            f'{folder} is an adapter of type {kind}; merging it needs the package peft: pip install "hone-lm[adapters]"'
        ) from error
    if kind not in {str(getattr(one, "value", one)) for one in PEFT_TYPE_TO_CONFIG_MAPPING}:
        raise InputError(f'{folder}: peft_type "{kind}" is not known to PEFT {_version()}')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say of missing tensors is an error below
            attached = PeftModel.from_pretrained(module, folder, torch_device="cpu")
    except (ValueError, TypeError, LookupError, NotImplementedError, ImportError) as error:
        raise InputError(f"{folder}: PEFT {_version()} cannot open it on this base: {_line(error)}") from error
    except RuntimeError as error:
        raise InputError(f"{folder} is no adapter of this base: {_line(error)}") from error
    wanted = set(get_peft_model_state_dict(attached, save_embedding_layers=False))
    _untie(attached.get_base_model())
    of_base = {name for name in tensors if name.removeprefix(PREFIX) in _names(attached)}
    problems = [f"{folder} has no {name}, which its configuration asks for" for name in sorted(wanted - set(tensors))]
    unread = sorted(set(tensors) - wanted - of_base)
    problems += [f"{folder}: {name} has no place in this base; is it the base it was trained on?" for name in unread]
    if problems:
        raise InputError(problems[:3] + ([f"and {len(problems) - 3} tensors more"] if len(problems) > 3 else []))
    return attached.eval()


def _names(attached: Any) -> set[str]:
    """Names of the base's own tensors and of rows that are trained: a resized embedding is saved whole, with them."""
    names = (name for name, _ in attached.get_base_model().named_parameters(remove_duplicate=False))
    return {name.removesuffix(".default") for name in names}


def _untie(module: Any) -> None:
    """Give the output a matrix of its own where it is the embedding: an adapter on one of them is merged into one."""
    from torch import nn

    embedding, head = module.get_input_embeddings(), module.get_output_embeddings()
    if head is None:
        return
    embedding, head = _innermost(embedding), _innermost(head)
    if head.weight is embedding.weight:
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)


def _innermost(layer: Any) -> Any:
    """The base's own layer below what PEFT put around it."""
    while (inner := getattr(layer, "base_layer", getattr(layer, "original_module", None))) is not None:
        layer = inner
    return layer


def _merged(attached: Any, folder: Path, kind: str, tied: bool) -> nn.Module:
    """The plain model; embedding and output are one matrix again where they are equal."""
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what comes out is compared with what went in
            found: Any = attached.merge_and_unload(safe_merge=True)
    except (NotImplementedError, AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder}: PEFT {_version()} cannot merge adapters of type {kind} ({_line(error)}), so that it is no "
            "plain model for any runtime; keep it in PyTorch, or train LoRA instead"
        ) from error
    head = found.get_output_embeddings()
    if head is not None and tied:
        # PEFT's own merge takes the two, which were parted for it, for a model that has both.
        found.config.tie_word_embeddings = torch.equal(head.weight, found.get_input_embeddings().weight)
        if found.config.tie_word_embeddings:
            found.tie_weights()
    plain: nn.Module = found.eval()
    return plain


def _probed_ids(folder: Path, own: int, rows: int) -> Tensor:
    """(n, :data:`PROBED_IDS`) ids: over all rows of the base, and of those that the adapter brings or trains."""
    import torch

    config = read_json(folder / ADAPTER_CONFIG)
    trained = config.get("trainable_token_indices") or config.get("token_indices") or []
    trained = [one for some in trained.values() for one in some] if isinstance(trained, dict) else trained
    of_adapter = torch.tensor(sorted({*trained, *range(own, rows)}), dtype=torch.long)
    if len(of_adapter) > PROBED_ROWS:
        of_adapter = of_adapter[torch.linspace(0, len(of_adapter) - 1, PROBED_ROWS).long()]
    spread = torch.linspace(0, min(own, rows) - 1, PROBED_IDS).long()
    # Rows of one length: short ones fit every context.
    filled = torch.cat([spread, of_adapter, spread[: -len(of_adapter) % PROBED_IDS]])
    return filled.view(-1, PROBED_IDS)


def _logits(module: Any, ids: Tensor) -> Tensor:
    """(n, length, vocabulary) logits of (n, length) ids; without a head, states."""
    import torch

    with torch.no_grad():
        logits: Tensor = module(input_ids=ids)[0]
    return logits.float()


def _sketches(module: nn.Module) -> dict[str, Tensor]:
    """For each of its tensors by name the product of every row with one drawn vector: few numbers, other if it is."""
    return {name: _sketch(tensor) for name, tensor in module.state_dict().items()}


def _sketch(tensor: Tensor) -> Tensor:
    """(rows,) products."""
    import torch

    rows = tensor.float().reshape(len(tensor) if tensor.dim() else 1, -1)
    return rows @ torch.randn(rows.shape[1], generator=torch.Generator().manual_seed(0))


def _changed(before: Mapping[str, Tensor], module: nn.Module) -> int:
    """How many tensors are other than before, or new; rows behind those that they had before are not looked at."""
    return sum(
        name not in before or _differ(before[name], _sketch(tensor[: len(before[name])] if tensor.dim() else tensor))
        for name, tensor in module.state_dict().items()
    )


def _differ(before: Tensor, after: Tensor) -> bool:
    if before.shape != after.shape:
        return True
    return not bool(((after - before).abs() <= ROUNDING * before.abs().max()).all())


def _rows_beyond(module: Any, own: int) -> list[Tensor]:
    """The rows of embedding and output behind those that the base has."""
    layers = [one for one in (module.get_input_embeddings(), module.get_output_embeddings()) if one is not None]
    return [_innermost(one).weight[own:].detach().clone() for one in layers]


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _version() -> str:
    from importlib.metadata import version

    return version("peft")
