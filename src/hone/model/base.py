"""Opening the model that a recipe starts from: a local folder or a hub id.

No code of the model's is run, only safetensors are read, and without a network the answer is one sentence. The
special tokens that hone writes with are added where the base does not have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.errors import InputError
from hone.files import content_hash, file_hash, read_json
from hone.model.folder import Wrap, read_tokenizer
from hone.model.weights import CONFIG, check_layout, load_module
from hone.task.render import SPECIALS, Tokenizer, label_token

if TYPE_CHECKING:
    from torch import nn

HUB_FILES = ("*.json", "*.safetensors", "*.txt")
"""What is fetched from the hub; weights in pickles are left there."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base model, opened but not loaded: :attr:`tokenizer` needs no torch, :attr:`module` does."""

    reference: str
    folder: Path
    wrap: Wrap
    labels: tuple[str, ...] = ()

    @cached_property
    def _tokenizer(self) -> tuple[Any, int]:
        """The library's tokenizer with hone's special tokens, and how many ids it had before."""
        from tokenizers import AddedToken

        rust = read_tokenizer(self.folder)
        before = rust.get_vocab_size(with_added_tokens=True)
        names = [*SPECIALS, *map(label_token, self.labels)]
        rust.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
        return rust, before

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The base's tokenizer; special tokens that it lacked have the ids behind its own."""
        return self.wrap(self._tokenizer[0])

    @property
    def added_tokens(self) -> int:
        """Number of special tokens that the base did not have."""
        rust, before = self._tokenizer
        return int(rust.get_vocab_size(with_added_tokens=True)) - before

    @cached_property
    def module(self) -> nn.Module:
        """The model in float32 on the CPU, with an embedding row for each id of :attr:`tokenizer`."""
        module = load_module(self.folder)
        _add_rows(module, self._tokenizer[0].get_vocab_size(with_added_tokens=True), self._tokenizer[1])
        return module

    @property
    def identity(self) -> dict[str, str]:
        """Reference and content hashes, for lineage."""
        weights = {path.name: file_hash(path) for path in sorted(self.folder.glob("*.safetensors"))}
        return {
            "reference": self.reference,
            "config": content_hash(read_json(self.folder / CONFIG)),
            "weights": content_hash(weights),
        }


def open_base(reference: str, wrap: Wrap, labels: Sequence[str] = ()) -> Base:
    """Open a local folder or a hub id.

    Args:
        reference: ``recipe.base``.
        wrap: makes hone's tokenizer, see :data:`hone.model.folder.Wrap`.
        labels: classes that need a token each (classify).

    Raises:
        InputError: when there is no such model here or, offline, on the hub; or it cannot be opened safely.
    """
    folder = Path(reference).expanduser()
    if not folder.is_dir():
        folder = _from_hub(reference)
    check_layout(folder)
    return Base(reference=reference, folder=folder, wrap=wrap, labels=tuple(labels))


def _from_hub(reference: str) -> Path:
    """The local copy of a hub id; what is in the cache is found without a network."""
    parts = reference.split("/")
    if len(parts) > 2 or reference.startswith((".", "~", "/")) or not all(parts):
        raise InputError(f'base "{reference}" is not a folder here, and not a hub id (NAME or OWNER/NAME) either')
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(reference, allow_patterns=list(HUB_FILES)))
    except Exception as error:  # requests, offline mode, cache and permission errors have no common base
        raise InputError(
            f'base "{reference}" is not a folder here, and the hub did not give it ({type(error).__name__}). '
            "Without a network, fetch it once elsewhere and set base: to the folder; base: scratch needs no network"
        ) from error


def _add_rows(module: Any, ids: int, before: int) -> None:
    """Make the embedding and output rows of added tokens: the mean of the rows that were trained.

    A base often has more rows than its tokenizer has ids; rows are added only for ids beyond them.
    """
    import torch

    rows = module.get_input_embeddings().weight.shape[0]
    if ids > rows:
        module.resize_token_embeddings(ids, mean_resizing=False)
    layers = (module.get_input_embeddings(), module.get_output_embeddings())
    matrices = {id(layer.weight): layer.weight for layer in layers}  # one where they are tied
    with torch.no_grad():
        for weight in matrices.values():
            weight[before:ids] = weight[:before].mean(dim=0)
