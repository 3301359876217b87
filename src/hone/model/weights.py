"""Weights on disk are safetensors. A pickle is refused, because opening it runs whatever code it holds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hone.errors import FailedError, InputError
from hone.files import read_json
from hone.model.encoders import CLASSES, HEADS

if TYPE_CHECKING:
    from torch import nn

PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt")
CONFIG, ADAPTER_CONFIG = "config.json", "adapter_config.json"
Use = Literal["next-token", "masked-tokens", "classify-sequence", "tag-tokens", "embed"]
"""What a model is opened for; named like the recipe's objectives, and ``embed`` for an encoder's states alone."""
ENCODERS = frozenset(
    {
        *("albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra"),
        *("ernie", "flaubert", "ibert", "longformer", "mobilebert", "modernbert", "mpnet"),
        *("nomic_bert", "rembert", "roberta", "roberta-prelayernorm", "roformer", "squeezebert", "xlm"),
        *("xlm-roberta", "xlm-roberta-xl"),
    }
)
"""Model types that read from both sides."""
AUTO = {
    "next-token": "AutoModelForCausalLM",
    "masked-tokens": "AutoModelForMaskedLM",
    "classify-sequence": "AutoModelForSequenceClassification",
    "tag-tokens": "AutoModelForTokenClassification",
    "embed": "AutoModel",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """How a model is opened."""

    use: Use = "next-token"
    labels: tuple[str, ...] = ()
    """Names of the classes or tags of an encoder's head; empty keeps the head as the folder has it."""
    seed: int = 0
    """Of the weights of a new head."""
    dropout: float | None = None
    """Replaces every dropout rate of the config; ``None`` keeps them."""


def check_layout(folder: Path) -> None:
    """Check that a folder holds a model that can be opened safely.

    Raises:
        InputError: when the config or the weights are missing, the weights are pickles, or the model brings code.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; a model folder holds {CONFIG}, *.safetensors and tokenizer.json")
    if not (folder / CONFIG).is_file():
        if (adapter := folder / ADAPTER_CONFIG).is_file():
            kind = read_json(adapter).get("peft_type")
            raise InputError(f"{folder} is an adapter of type {kind}: hone export makes a model of it and its base")
        raise InputError(f"{folder} has no {CONFIG}; a model folder holds {CONFIG}, *.safetensors and tokenizer.json")
    if not list(folder.glob("*.safetensors")):
        pickles = pickles_of(folder)
        if pickles:
            raise InputError(
                f"{folder} has its weights in {', '.join(path.name for path in pickles[:3])} and no *.safetensors; "
                "these are pickles, and opening a pickle runs the code inside it. Convert them once, reading tensors "
                f"alone: hone convert {folder} --out {folder.name}-safetensors"
            )
        raise InputError(f"{folder} has no *.safetensors, so it has no weights")
    auto_map = read_json(folder / CONFIG).get("auto_map")
    if auto_map:
        raise InputError(
            f"{folder / CONFIG} names code of its own ({', '.join(sorted(auto_map))}); hone runs no code that comes "
            "with a model. Take one of an architecture that Transformers has"
        )


def pickles_of(folder: Path) -> list[Path]:
    """Files of a folder whose names are those of pickled weights, sorted."""
    return sorted({path for pattern in PICKLES for path in folder.glob(pattern)})


def tensor_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor in the safetensors of a folder; the weights themselves are not read.

    Raises:
        FailedError: when a file is cut off.
    """
    from safetensors import SafetensorError, safe_open

    shapes: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, "np") as file:
                shapes |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise FailedError(f"{path}: not a whole file of weights: {error}") from error
    return shapes


def load_module(folder: Path, opening: Opening = Opening()) -> nn.Module:
    """The model of a checked folder, in float32 on the CPU, in evaluation mode.

    The head of an encoder is made anew (normal, of the config's deviation, by the seed) where the folder has none or
    one for other labels. Everything else must be in the folder.

    Raises:
        InputError: when the model cannot be used so.
        FailedError: when the weights are damaged, or do not cover the whole model.
    """
    return load_with_fresh(folder, opening)[0]


def load_with_fresh(folder: Path, opening: Opening) -> tuple[nn.Module, tuple[str, ...]]:
    """Like :func:`load_module`, and the names of the tensors that were made anew."""
    check_layout(folder)
    config = read_json(folder / CONFIG)
    check_use(folder, config, opening.use)
    model_class = _model_class(str(config.get("model_type")), opening.use)
    import torch

    own_head = not opening.labels or _labels(config) == opening.labels
    changes = (
        {"id2label": dict(enumerate(opening.labels)), "label2id": _indices(opening.labels)} if not own_head else {}
    )
    with torch.random.fork_rng(devices=[]), quietly():
        torch.manual_seed(opening.seed)
        try:
            module, info = model_class.from_pretrained(
                folder,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=not own_head,
                **changes,
                **_dropouts(folder, config, opening.dropout),
            )
        except (OSError, ValueError, RuntimeError, ArithmeticError) as error:
            raise FailedError(f"{folder}: the model cannot be opened: {error}") from error
        fresh = _head_names(module) if not own_head else set()
        if fresh - set(info["missing_keys"]):
            _make_anew(module, fresh)
    fresh |= _allowed(folder, module, info, opening.use)
    return module.eval(), tuple(sorted(fresh))


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without Transformers' report and bars, for models that are opened or written.

    What is missing in one is an error here, or told by :func:`load_with_fresh`.
    """
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def _allowed(folder: Path, module: Any, info: Any, use: Use) -> set[str]:
    """The missing tensors, when all of them belong to an encoder's head."""
    head = _head_names(module) if use != "next-token" else set()
    if use == "embed":  # all of it is trunk; the pooler is not read
        head = {name for name in head if name.startswith("pooler.")}
    missing = {*info["missing_keys"], *(str(item[0]) for item in info.get("mismatched_keys", ()))}
    lacking = sorted(missing - head)
    if lacking:
        raise FailedError(
            f"{folder}: the weights lack {len(lacking)} of the model's tensors, the first {lacking[0]}; "
            "they would have been filled with random numbers"
        )
    return missing


def _head_names(module: Any) -> set[str]:
    """Parameters that stand on the trunk: all outside of it, and its pooler, which only some heads use."""
    trunk = f"{module.base_model_prefix}."
    named = module.named_parameters(remove_duplicate=False)
    return {name for name, _ in named if not name.startswith(trunk) or ".pooler." in name}


def _make_anew(module: Any, names: set[str]) -> None:
    """Replace a head that was made for other labels."""
    import torch

    template = type(module)(module.config)
    fresh = dict(template.named_parameters())
    # The pooler is the trunk's: one that was loaded stays.
    names -= {name for name in names if ".pooler." in name}
    with torch.no_grad():
        for name, param in module.named_parameters():
            if name in names:
                param.copy_(fresh[name])


def check_use(where: Path, config: dict[str, Any], use: Use) -> None:
    """Check that a model of this config can be used so.

    Raises:
        InputError: for an encoder that is to write text, or a decoder that is to read from both sides.
    """
    model_type = str(config.get("model_type"))
    reads_both_ways = model_type in ENCODERS
    if use == "next-token" and reads_both_ways:
        raise InputError(
            f'{where} is an encoder (model_type "{model_type}"): it reads from both sides and cannot write text; use '
            f"objective {', '.join(HEADS)}, or take a decoder as base"
        )
    if use != "next-token" and not reads_both_ways:
        raise InputError(
            f'{where} has model_type "{model_type}", which is no encoder that hone knows; objective {use} reads from '
            "both sides: take an encoder as base (BERT, RoBERTa, DistilBERT, ...), or objective next-token"
        )


def _labels(config: dict[str, Any]) -> tuple[str, ...]:
    names = config.get("id2label") or {}
    return tuple(names[key] for key in sorted(names, key=int))


def _indices(labels: Sequence[str]) -> dict[str, int]:
    return {label: index for index, label in enumerate(labels)}


def _dropouts(folder: Path, config: dict[str, Any], rate: float | None) -> dict[str, float]:
    """Every dropout rate of a config, replaced."""
    if rate is None:
        return {}
    known = {**_defaults(str(config.get("model_type"))), **config}
    names = [
        name for name in known if "drop" in name and not name.startswith("layer") and not isinstance(known[name], bool)
    ]
    if not names:
        raise InputError(f"{folder / CONFIG} has no dropout rate, so dropout {rate:g} cannot act; leave it out")
    return dict.fromkeys(names, rate)


def _defaults(model_type: str) -> dict[str, Any]:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    values: dict[str, Any] = CONFIG_MAPPING[model_type]().to_dict() if model_type in CONFIG_MAPPING else {}
    return values


def _model_class(model_type: str, use: Use) -> Any:
    """The class of a model type; those that hone makes come without a search through all of Transformers."""
    if use == "next-token" and model_type == "llama":
        from transformers.models.llama.modeling_llama import LlamaForCausalLM

        return LlamaForCausalLM
    if use == "next-token" and model_type == "qwen3":
        from transformers.models.qwen3.modeling_qwen3 import Qwen3ForCausalLM

        return Qwen3ForCausalLM
    if use != "next-token" and model_type == "bert":
        from transformers.models.bert import modeling_bert

        return modeling_bert.BertModel if use == "embed" else getattr(modeling_bert, CLASSES[use])
    from transformers.models.auto import modeling_auto

    return getattr(modeling_auto, AUTO[use])
