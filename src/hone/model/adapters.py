"""Adapters as PEFT keeps them (``adapter_config.json`` and ``adapter_model.safetensors``) to plain model folders.

What PEFT can merge is merged into the base's weights: LoRA and its kin, IA3 and others. Soft prompts become rows of the
vocabulary (:mod:`hone.model.soft_prompts`). What neither can be written as, no runtime but PyTorch runs; it is refused
by name. The folder that comes out has no adapter in it, and whoever reads it needs no PEFT.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.errors import FailedError, InputError
from hone.files import atomic_folder, content_hash, file_hash, read_json, write_json
from hone.model.folder import FORMAT, HONE_FILE, TOKENIZER_FILE, Wrap, read_tokenizer
from hone.model.hub import from_hub
from hone.model.weights import ADAPTER_CONFIG, CONFIG, ENCODERS, Opening, check_layout, load_module, pickles_of, quietly
from hone.task.render import Renderer
from hone.task.soft_prompt import KEY, soft_prompt_json

if TYPE_CHECKING:
    from torch import Tensor

    from hone.task.render import Tokenizer

ADAPTER_WEIGHTS = "adapter_model.safetensors"
SOFT_PROMPTS = ("PROMPT_TUNING", "P_TUNING")
VECTORS = "prompt_embeddings"
"""The tensor of a soft prompt; of p-tuning PEFT keeps what its encoder gave, the vectors themselves."""
_KEYS_AND_VALUES = (
    "its keys and values of every layer cannot be written as tokens, and neither a GGUF file nor an ONNX graph takes "
    "them; keep it in PyTorch, or train prompt tuning or LoRA instead"
)
REFUSED = {
    "PREFIX_TUNING": _KEYS_AND_VALUES,
    "CARTRIDGE": _KEYS_AND_VALUES,
    "MULTITASK_PROMPT_TUNING": "its vectors are of another task each time; train prompt tuning for the one that is "
    "to be exported",
    "CPT": "its vectors are computed from the rows of a context each time; train prompt tuning instead",
    "XLORA": "which of its adapters act is decided at every token; merge one of them",
    "POLY": "which of its adapters act is decided by the task of each row; train LoRA for the one to be exported",
    "ADAPTION_PROMPT": "its gates stand in every layer's attention and cannot be merged; train LoRA instead",
}
"""Why adapters of these types are no weights of a plain model."""
CARRIED = ("kind", "labels", "renderer", "examples", "task", "objective")
"""What a model keeps of the ``hone.json`` that belongs to it."""
UNCHOSEN = {"temperature": 1.0, "threshold": 0.5}
"""What a renderer of labels has where nothing was chosen on dev rows: a base's were not chosen for its adapter."""
TOKENIZER_FILES = (TOKENIZER_FILE, "tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapter:
    """A folder of PEFT's that can be opened safely."""

    folder: Path
    config: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """PEFT's name of its type, such as ``LORA``."""
        return str(self.config.get("peft_type"))

    @property
    def weights(self) -> Path:
        """Its only file of weights."""
        return self.folder / ADAPTER_WEIGHTS

    def tensors(self) -> dict[str, Tensor]:
        """All that it holds, by name.

        Raises:
            FailedError: when the file is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            found: dict[str, Tensor] = load_file(self.weights)
        except (SafetensorError, OSError) as error:
            raise FailedError(f"{self.weights}: not a whole file of weights: {error}") from error
        return found


def is_adapter(path: Path) -> bool:
    """Whether a path is a folder of an adapter as PEFT writes it."""
    return (path / ADAPTER_CONFIG).is_file()


def read_adapter(folder: Path) -> Adapter:
    """An adapter whose type can become a plain model, and whose weights are safetensors.

    Raises:
        InputError: with every reason why not.
    """
    config = read_json(folder / ADAPTER_CONFIG)
    if not isinstance(config, dict) or not config.get("peft_type"):
        raise InputError(f"{folder / ADAPTER_CONFIG} names no peft_type; PEFT's save_pretrained writes one")
    adapter, problems = Adapter(folder=folder, config=config), []
    count = config.get("num_virtual_tokens")
    if adapter.kind in SOFT_PROMPTS and not (isinstance(count, int) and count > 0):
        problems.append(f"{folder / ADAPTER_CONFIG} has num_virtual_tokens {count!r}; a whole number over 0 is needed")
    if adapter.kind in REFUSED:
        problems.append(f"{folder} is an adapter of type {adapter.kind}: {REFUSED[adapter.kind]}")
    if adapter.config.get("megatron_config") is not None:
        problems.append(f"{folder / ADAPTER_CONFIG} names code to import (megatron_core); hone runs none of a model's")
    if not adapter.weights.is_file():
        problems.append(_no_weights(folder))
    if problems:
        raise InputError(problems)
    return adapter


def _no_weights(folder: Path) -> str:
    pickles = pickles_of(folder)
    if not pickles:
        return f"{folder} has no {ADAPTER_WEIGHTS}, so the adapter has no weights"
    return (
        f"{folder} has its weights in {pickles[0].name} and no {ADAPTER_WEIGHTS}; this is a pickle, and opening a "
        "pickle runs the code inside it. Where you trust it, load the adapter with PEFT once and save it again: "
        "save_pretrained writes safetensors"
    )


def base_of(adapter: Adapter) -> tuple[str, Path]:
    """The reference of the base that an adapter names, and its folder.

    A path is looked for as it stands, beside the adapter, and in it; a name that is no path, among the hub's.

    Raises:
        InputError: when it names none, or there is none that can be opened safely.
    """
    where = adapter.folder / ADAPTER_CONFIG
    reference = str(adapter.config.get("base_model_name_or_path") or "")
    if not reference:
        raise InputError(f"{where} names no base (base_model_name_or_path); name the one that it was trained on")
    given = Path(reference).expanduser()
    for path in (given, adapter.folder.resolve().parent / given, adapter.folder / given):
        if path.is_dir():
            check_layout(path)
            return str(path), path
    if (revision := adapter.config.get("revision")) not in (None, "main"):
        raise InputError(
            f'{where} names revision "{revision}" of {reference}; download that one, and name its folder as '
            "base_model_name_or_path"
        )
    try:
        folder = from_hub(reference)
    except InputError as error:
        raise InputError(f"{where}: base_model_name_or_path: {problem}" for problem in error.problems) from error
    check_layout(folder)
    return reference, folder


def adapted(adapter: Adapter, base: Path, out: Path, wrap: Wrap, reference: str) -> list[str]:
    """Write a base with its adapter as a plain model folder, which appears whole or not at all.

    Args:
        adapter: what :func:`read_adapter` gave.
        base: its base's folder, with a ``hone.json``, unless the adapter has one of its own.
        out: the new folder. It has the tokenizer and ``hone.json`` of the adapter where it has them, else the base's.
        wrap: see :data:`hone.model.folder.Wrap`.
        reference: the base's, for lineage.

    Returns:
        Lines for people.

    Raises:
        InputError: when it is no adapter of this base, or of a type that cannot be merged, or its ``hone.json`` is not
            whole.
        FailedError: when the merged model does not compute what base and adapter did.
    """
    words = adapter.folder if (adapter.folder / TOKENIZER_FILE).is_file() else base
    rust = read_tokenizer(words)
    hone, notes = _carried(adapter, base, wrap(rust))
    if adapter.kind in SOFT_PROMPTS:
        module, said = _with_soft_prompt(adapter, base, hone, rust)
        renderer = Renderer.from_json(hone["renderer"], wrap(rust))
        hone["examples"] = [renderer.stored_example(one["row"], one["fields"]) for one in hone["examples"]]
    else:
        from hone.model.merging import merged

        opening = Opening(use=hone.get("objective", "next-token"))
        module, said = merged(adapter.folder, adapter.kind, adapter.tensors(), base, opening)
    meta = {**hone, "format": FORMAT, "base": reference, "adapter": _lineage(adapter, base)}
    _write(out, module, words, rust if adapter.kind in SOFT_PROMPTS else None, meta)
    return [f"adapter {adapter.folder.name} ({adapter.kind}) of base {reference}: {said}", *notes]


def _carried(adapter: Adapter, base: Path, tokenizer: Tokenizer) -> tuple[dict[str, Any], list[str]]:
    """What is kept of the adapter's ``hone.json``, or else of its base's, and what is not, as lines.

    Raises:
        InputError: when that of the adapter is not whole. FailedError: when its rows render otherwise than stored.
    """
    if not (adapter.folder / HONE_FILE).is_file():
        hone = {key: value for key, value in read_json(base / HONE_FILE).items() if key in CARRIED}
        chosen = {key: value for key, value in UNCHOSEN.items() if hone["renderer"].get(key, value) != value}
        if not chosen:
            return hone, []
        hone["renderer"] = {**hone["renderer"], **chosen}
        said = " and ".join(f"{key} (now {value:g})" for key, value in chosen.items())
        return hone, [f"of its base's {HONE_FILE} left out: {said}, chosen for the base's own probabilities"]
    where = adapter.folder / HONE_FILE
    found = read_json(where)
    given = found if isinstance(found, dict) else {}
    if lacking := [key for key in ("kind", "labels", "renderer", "examples") if key not in given]:
        raise InputError(f"{where} has no {', '.join(lacking)}; copy that of the model folder it was trained on")
    try:
        Renderer.from_json(given["renderer"], tokenizer).verify(given["examples"])
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{where}: its renderer or its examples cannot be read ({type(error).__name__}: {error}); copy those of "
            "the model folder it was trained on"
        ) from error
    return {key: value for key, value in given.items() if key in CARRIED}, []


def _with_soft_prompt(adapter: Adapter, base: Path, hone: dict[str, Any], rust: Any) -> tuple[Any, str]:
    """The base with the vectors as rows; the renderer's JSON and the tokenizer are changed in place.

    Raises:
        InputError: for encoders, bases that have a soft prompt already, and vectors that do not fit.
    """
    from hone.model.soft_prompts import add_soft_prompt

    config, renderer = read_json(base / CONFIG), hone["renderer"]
    if config.get("model_type") in ENCODERS:
        raise InputError(
            f"{adapter.folder} is a soft prompt of an encoder, whose outputs stand at the positions of its inputs: it "
            "is not exported in this version; train LoRA instead"
        )
    if renderer.get(KEY):
        raise InputError(f"{base} has a soft prompt of {len(renderer[KEY])} vectors already; train one on its own base")
    vectors = _vectors(adapter)
    module = load_module(base)
    try:
        ids = add_soft_prompt(module, rust, vectors)
    except InputError as error:
        raise InputError(f"{adapter.folder}: {problem}" for problem in error.problems) from error
    longest = (renderer.get("input") or {}).get("longest") if isinstance(renderer.get("input"), dict) else None
    if longest:
        # A conversation drops turns until it fits: the soft prompt takes its part of that room.
        renderer = {**renderer, "input": {**renderer["input"], "longest": longest - len(ids)}}
    hone["renderer"] = {**renderer, **soft_prompt_json(ids)}
    return module, f"{len(ids)} vectors are tokens {ids[0]:,} to {ids[-1]:,}, in front of every prompt and masked"


def _vectors(adapter: Adapter) -> Tensor:
    """(n, width) vectors of a soft prompt.

    Raises:
        InputError: when the file has other tensors than one of them. FailedError: when it is damaged.
    """
    tensors, count = adapter.tensors(), adapter.config.get("num_virtual_tokens")
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if set(found) != {VECTORS} or len(found[VECTORS]) != 2 or found[VECTORS][0] != count:
        raise InputError(
            f"{adapter.weights} holds {found}; {adapter.kind} of {count} virtual tokens has one tensor "
            f"{VECTORS} of as many rows"
        )
    return tensors[VECTORS]


def _lineage(adapter: Adapter, base: Path) -> dict[str, Any]:
    weights = {path.name: file_hash(path) for path in sorted(base.glob("*.safetensors"))}
    return {
        "name": adapter.folder.resolve().name,
        "type": adapter.kind,
        "weights": file_hash(adapter.weights),
        "config": file_hash(adapter.folder / ADAPTER_CONFIG),
        "base_weights": content_hash(weights),
    }


def _write(out: Path, module: Any, words: Path, rust: Any, meta: Mapping[str, Any]) -> None:
    """The model folder; the tokenizer's files are those of ``words`` but for ``rust``, where it was changed."""
    from safetensors import SafetensorError

    with atomic_folder(out) as part:
        try:
            with quietly():
                module.save_pretrained(part)
        except SafetensorError as error:
            raise FailedError(f"could not write the weights of {out}: {error}; nothing was left there") from error
        for name in TOKENIZER_FILES:
            if (words / name).is_file():
                shutil.copyfile(words / name, part / name)
        if rust is not None:
            (part / TOKENIZER_FILE).write_text(rust.to_str(pretty=True), encoding="utf-8")
        hashes = {file.name: file_hash(file) for file in sorted(part.iterdir()) if file.is_file()}
        write_json(part / HONE_FILE, {**meta, "hashes": hashes})


def made_of(hone: Mapping[str, Any]) -> Sequence[str]:
    """Sentences for the certificate on a model folder that was made of an adapter; empty for others."""
    adapter = hone.get("adapter")
    if not adapter:
        return []
    count = len((hone.get("renderer") or {}).get(KEY, ()))
    if not count:
        return [f"the original is the base with the adapter {adapter['name']} ({adapter['type']}) merged into it"]
    what = f"the base with the soft prompt {adapter['name']} ({adapter['type']})"
    return [f"the original is {what}: {count} tokens stand before every prompt, are never written and never likely"]
