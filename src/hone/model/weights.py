"""Weights on disk are safetensors. A pickle is refused, because opening it runs whatever code it holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.errors import FailedError, InputError
from hone.files import read_json

if TYPE_CHECKING:
    from torch import nn

PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt")
CONFIG = "config.json"


def check_layout(folder: Path) -> None:
    """Check that a folder holds a model that can be opened safely.

    Raises:
        InputError: when the config or the weights are missing, the weights are pickles, or the model brings code.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; a model folder holds {CONFIG}, *.safetensors and tokenizer.json")
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder} has no {CONFIG}; a model folder holds {CONFIG}, *.safetensors and tokenizer.json")
    if not list(folder.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
        if pickles:
            raise InputError(
                f"{folder} has its weights in {', '.join(pickles[:3])} and no *.safetensors; these are pickles, and "
                "opening a pickle runs the code inside it. Convert them to safetensors where you trust them"
            )
        raise InputError(f"{folder} has no *.safetensors, so it has no weights")
    auto_map = read_json(folder / CONFIG).get("auto_map")
    if auto_map:
        raise InputError(
            f"{folder / CONFIG} names code of its own ({', '.join(sorted(auto_map))}); hone runs no code that comes "
            "with a model. Take one of an architecture that Transformers has"
        )


def load_module(folder: Path) -> nn.Module:
    """The causal language model of a checked folder, in float32 on the CPU, in evaluation mode.

    Raises:
        FailedError: when the weights are damaged, or do not cover the whole model.
    """
    check_layout(folder)
    model_class: Any = _model_class(str(read_json(folder / CONFIG).get("model_type")))
    import torch

    try:
        module, info = model_class.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, ArithmeticError) as error:
        raise FailedError(f"{folder}: the model cannot be opened: {error}") from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise FailedError(
            f"{folder}: the weights lack {len(missing)} of the model's tensors, the first {missing[0]}; "
            "they would have been filled with random numbers"
        )
    loaded: nn.Module = module.eval()
    return loaded


def _model_class(model_type: str) -> Any:
    """The class of a model type; the two that hone makes come without a search through all of Transformers."""
    if model_type == "llama":
        from transformers.models.llama.modeling_llama import LlamaForCausalLM

        return LlamaForCausalLM
    if model_type == "qwen3":
        from transformers.models.qwen3.modeling_qwen3 import Qwen3ForCausalLM

        return Qwen3ForCausalLM
    from transformers.models.auto.modeling_auto import AutoModelForCausalLM

    return AutoModelForCausalLM
