"""Weights of other kinds written as a model folder: pickles, whose tensors alone are read, and files of llama2.c.

This is the one place that opens a pickle, with ``torch.load(weights_only=True)``, which builds tensors and plain
containers and refuses everything else; a person asks for it by name.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.errors import FailedError, InputError
from hone.files import atomic_folder, read_json, write_json
from hone.model.folder import TOKENIZER_FILE
from hone.model.hub import HUB_FILES
from hone.model.llama2c import ROLES, Llama2cFile
from hone.model.weights import CONFIG, ENCODERS, Opening, Use, load_with_fresh, pickles_of

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "model.safetensors"
INDEX = "pytorch_model.bin.index.json"
USUAL = "pytorch_model"
"""What Transformers named its pickles."""


def convert(source: Path, out: Path) -> list[str]:
    """Write a model folder with safetensors; it is opened once before it appears.

    Args:
        source: a folder whose weights are pickles, or a ``.bin`` of llama2.c with its tokenizer beside it.
        out: a folder that is not there yet, or empty.

    Returns:
        Lines that say what was written.

    Raises:
        InputError: when there is nothing to convert, or ``out`` holds something.
        FailedError: when a pickle holds more than tensors, or the result cannot be opened; nothing is left then.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is there already; name a folder that is not, so that nothing is overwritten")
    if source.is_file():
        return _of_llama2c(Llama2cFile(source), out)
    if not source.is_dir():
        raise InputError(f"{source} is neither a folder nor a file")
    if list(source.glob("*.safetensors")):
        raise InputError(f"{source} has *.safetensors already; nothing is to be converted: base: takes it as it is")
    if not (source / CONFIG).is_file():
        raise InputError(
            f"{source} has no {CONFIG}, so nothing says what its weights are; it stands beside them on the hub"
        )
    return _of_pickles(source, out)


def _of_llama2c(file: Llama2cFile, out: Path) -> list[str]:
    import hone.warm  # noqa: F401  (no bars on the way)

    module: Any = file.load(Opening())[0]
    with atomic_folder(out) as part:
        module.save_pretrained(part)
        file.rust().save(str(part / TOKENIZER_FILE))
        names = {"bos_token": ROLES["begin"], "eos_token": ROLES["end"]}
        write_json(part / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **names})
    count = sum(param.numel() for param in module.parameters())
    return [
        f"{out}: {count:,} parameters of {file.path.name}, {file.header.vocab:,} tokens of {file.tokenizer_path.name}"
    ]


def _of_pickles(source: Path, out: Path) -> list[str]:
    from safetensors.torch import save_file

    pickles = _chosen(source)
    tensors: dict[str, Tensor] = {}
    for path in pickles:
        tensors |= dict(_tensors(path))
    kept = [path for pattern in HUB_FILES for path in source.glob(pattern) if path.name != INDEX]
    config = read_json(source / CONFIG)
    with atomic_folder(out) as part:
        save_file(tensors, part / WEIGHTS, metadata={"format": "pt"})
        for path in kept:
            shutil.copyfile(path, part / path.name)
        use: Use = "masked-tokens" if config.get("model_type") in ENCODERS else "next-token"
        _, fresh = load_with_fresh(part, Opening(use=use))
    lines = [f"{out}: {len(tensors):,} tensors of {', '.join(path.name for path in pickles)}, opened once to be sure"]
    lines.append(f"  copied beside them: {', '.join(sorted(path.name for path in kept))}")
    if not (source / TOKENIZER_FILE).is_file():
        lines.append(f"  {TOKENIZER_FILE} is missing: a base needs a fast tokenizer, put it there")
    return [*lines, *([f"  without a head that predicts words ({len(fresh)} tensors)"] if fresh else [])]


def _chosen(source: Path) -> list[Path]:
    """The pickles that hold the weights.

    Raises:
        InputError: when there is none, a part is missing, or nothing says which of several.
    """
    if (source / INDEX).is_file():
        names = sorted(set(read_json(source / INDEX).get("weight_map", {}).values()))
        missing = [name for name in names if not (source / name).is_file()]
        if missing or not names:
            raise InputError(
                f"{source / INDEX} lists {len(names)} files, and {len(missing)} are missing: {missing[:3]}"
            )
        return [source / name for name in names]
    pickles = pickles_of(source)
    usual = [path for path in pickles if path.name.startswith(USUAL)]
    if len(usual or pickles) == 1:
        return usual or pickles
    found = ", ".join(path.name for path in pickles) or "none"
    raise InputError(f"{source} needs one pickle of weights ({USUAL}.bin) or {INDEX} beside several; found: {found}")


def _tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a pickle, each with memory of its own.

    Raises:
        FailedError: when it holds anything else.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling errors have no common base
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise FailedError(
            f"{path} cannot be read as tensors alone, so hone does not open it: {reason[:200]}. Nothing was written"
        ) from error
    others = (
        {str(name): value for name, value in state.items() if not isinstance(value, torch.Tensor)}
        if isinstance(state, dict)
        else {"the whole": state}
    )
    if others:
        named = ", ".join(f"{name} ({type(value).__name__})" for name, value in list(others.items())[:3])
        raise FailedError(
            f"{path} is not a plain table of tensors: it holds {named}. It may be a training state; take the weights "
            "out of it where it was made. Nothing was written"
        )
    for name, value in state.items():
        yield str(name), value.clone().contiguous()
