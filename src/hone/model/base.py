"""Opening the model that a recipe starts from: a local folder, a hub id, or a file of llama2.c.

No code of the model's is run, only safetensors are read, and without a network the answer is one sentence. The
special tokens that hone writes with are added where the base does not have them; the base itself is never changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.errors import FailedError, InputError
from hone.files import content_hash, file_hash, read_json
from hone.model.encoders import check_labels, is_encoder
from hone.model.folder import HONE_FILE, TOKENIZER_FILE, Wrap, read_tokenizer
from hone.model.hub import from_hub
from hone.model.llama2c import Llama2cFile
from hone.model.presets import SCRATCH
from hone.model.vocabulary import Vocabulary, add_rows, check_own, check_sizes, embedding_rows, extended, roles_of
from hone.model.weights import CONFIG, ENCODERS, Opening, Use, check_layout, check_use, load_with_fresh, tensor_shapes
from hone.task.render import Tokenizer
from hone.task.soft_prompt import soft_prompt_of
from hone.task.spec import LISTED, Task

if TYPE_CHECKING:
    from torch import nn


class ModelFiles:
    """A folder in Hugging Face layout, opened as a base.

    Raises:
        InputError: when it cannot be opened safely, or its tokenizer is another model's.
    """

    def __init__(self, folder: Path) -> None:
        check_layout(folder)
        self.folder = folder
        self.config = self.read_config()
        self._check_written()

    def read_config(self) -> dict[str, Any]:
        """What the config says on disk now."""
        values: dict[str, Any] = read_json(self.folder / CONFIG)
        return values

    def _check_written(self) -> None:
        if not (self.folder / HONE_FILE).is_file():
            return
        hone = read_json(self.folder / HONE_FILE)
        if soft := soft_prompt_of(hone.get("renderer")):
            raise InputError(
                f"{self.folder} has a soft prompt of {len(soft)} tokens, which training would leave out: begin from "
                "the base that it was tuned on"
            )
        expected = hone.get("hashes", {}).get(TOKENIZER_FILE)
        path = self.folder / TOKENIZER_FILE
        if expected and path.is_file() and (found := file_hash(path)) != expected:
            raise InputError(
                f"{path} has SHA-256 {found[:12]}, and the model was saved with {expected[:12]}: it is not the "
                "tokenizer that the model was trained with"
            )

    @property
    def files(self) -> list[Path]:
        """The files that the model is made of."""
        return [path for path in (self.folder / CONFIG, self.folder / TOKENIZER_FILE) if path.is_file()] + sorted(
            self.folder.glob("*.safetensors")
        )

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor on disk."""
        return tensor_shapes(self.folder)

    def roles(self, rust: Any, use: Use) -> dict[str, str]:
        """Special tokens by role, see :func:`hone.model.vocabulary.roles_of`."""
        return roles_of(self.folder, rust, use)

    def rust(self) -> Any:
        """The tokenizer, of the ``tokenizers`` library, without the padding and cutting that a folder may ask for."""
        rust = read_tokenizer(self.folder)
        check_own(self.folder, rust)
        return rust

    def load(self, opening: Opening) -> tuple[nn.Module, tuple[str, ...]]:
        """The module, and the names of tensors that were made anew."""
        return load_with_fresh(self.folder, opening)


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base model, opened but not loaded: :attr:`tokenizer` needs no torch, :attr:`module` does."""

    reference: str
    source: ModelFiles | Llama2cFile
    wrap: Wrap
    opening: Opening
    labels: tuple[str, ...] = ()
    add_tokens: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    warnings: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self.source.folder

    @property
    def config(self) -> dict[str, Any]:
        """What ``config.json`` says (for llama2.c: what its sizes say in the same words)."""
        return self.source.config

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokenizer with what was added to it.

        Raises:
            InputError: when it is another model's, or a text of ``add_tokens`` cannot be added.
        """
        rust = self.source.rust()
        ids = rust.get_vocab(with_added_tokens=True).values()
        self.warnings.extend(check_sizes(self.folder, self.config, ids, embedding_rows(self.source.shapes)))
        use = self.opening.use
        labels = self.labels if use == "next-token" else ()
        return extended(
            rust,
            self.source.roles(rust, use),
            use=use,
            labels=labels,
            add_tokens=self.add_tokens,
            marks=self.marks,
        )

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The base's tokenizer; tokens that it lacked have the ids behind its own."""
        return self.wrap(self.vocabulary.rust)

    @property
    def roles(self) -> dict[str, str]:
        """Its special tokens by role: ``pad``, ``begin``, ``end``, ``mask``; what it does not have is left out."""
        return self.source.roles(self.vocabulary.rust, self.opening.use)

    @property
    def added_tokens(self) -> int:
        """Number of tokens that the base did not have."""
        return self.vocabulary.size - self.vocabulary.before

    def load(self, use: Use | None = None) -> tuple[nn.Module, tuple[str, ...]]:
        """A module of its own as :attr:`module` was before anything changed it, and the names of its new tensors.

        Args:
            use: with another head than the base was opened for.
        """
        opening = self.opening if use is None else replace(self.opening, use=use, labels=())
        module, fresh = self.source.load(opening)
        add_rows(module, self.vocabulary)
        return module, fresh

    @cached_property
    def _loaded(self) -> tuple[nn.Module, tuple[str, ...]]:
        return self.load()

    def masked_words(self) -> tuple[nn.Module, int] | None:
        """An encoder with the head that it learned to predict masked words with, and the id of its mask.

        None where the folder has no such head, or the tokenizer no mask.
        """
        mask = self.roles.get("mask")
        if mask is None:
            return None
        module, fresh = self.load("masked-tokens")
        return None if fresh else (module, int(self.vocabulary.rust.token_to_id(mask)))

    def release(self) -> None:
        """Let go of :attr:`module`, so that it takes no memory beside another; asked for again it is loaded again."""
        self.__dict__.pop("_loaded", None)

    @property
    def module(self) -> nn.Module:
        """The model in float32 on the CPU, with an embedding row for each id of :attr:`tokenizer`."""
        return self._loaded[0]

    @property
    def fresh(self) -> tuple[str, ...]:
        """Names of the tensors that the base did not have: those of a new head."""
        return self._loaded[1]

    @cached_property
    def identity(self) -> dict[str, str]:
        """Reference and content hashes as they were when first asked for, for lineage."""
        return self._hashes()

    @property
    def id(self) -> str:
        """12 hex digits of the base's content, wherever it lies."""
        return content_hash({key: value for key, value in self.identity.items() if key != "reference"})

    def _hashes(self) -> dict[str, str]:
        weights = {
            path.name: file_hash(path) for path in self.source.files if path.name not in (CONFIG, TOKENIZER_FILE)
        }
        tokenizer = self.source.folder / TOKENIZER_FILE
        return {
            "reference": self.reference,
            "config": content_hash(self.source.read_config()),
            "weights": content_hash(weights),
            **({"tokenizer": file_hash(tokenizer, 12)} if tokenizer in self.source.files else {}),
        }

    def check_unchanged(self) -> None:
        """Check that the base's files are those that were opened: nothing may write into a base.

        Raises:
            FailedError: naming what has changed since :attr:`identity` was first asked for.
        """
        before, now = self.identity, self._hashes()
        changed = sorted(key for key in before if before[key] != now.get(key))
        if changed:
            raise FailedError(
                f"the base {self.reference} has changed on disk while it was used ({', '.join(changed)}): "
                f"{', '.join(f'{key} was {before[key]}, is {now.get(key)}' for key in changed)}. The run began from "
                "the old one, which can no longer be opened: keep bases where nothing writes"
            )

    def lines(self, *, frozen: bool = False) -> list[str]:
        """What is to be said of the opening: added tokens, a new head, oddities of the vocabulary.

        ``frozen``: the embedding is left out of training.
        """
        vocabulary = self.vocabulary
        own = sum(param.numel() for param in self.module.parameters())
        lines = [f"base {self.reference}: id {self.id}, {own:,} parameters, {vocabulary.before:,} ids of its own"]
        if self.added_tokens:
            others, texts = self.added_tokens - len(self.add_tokens), len(self.add_tokens)
            fate = "frozen: saved as they began, and not trained" if frozen else "trained and saved"
            lines.append(
                f"  {self.added_tokens:,} tokens added, their rows are {fate}: {others:,} of hone's and labels, "
                f"{texts:,} of add_tokens"
            )
        if self.fresh:
            lines.append(
                f"  {len(self.fresh)} tensors of its head are new (seed {self.opening.seed}): {', '.join(self.fresh)}"
            )
        return [*lines, *self.warnings]


def is_encoder_base(reference: str) -> bool:
    """Whether a recipe's base reads from both sides: a preset ``scratch:bert-*``, or a model of such a type.

    Raises:
        InputError: when there is no such model here or, offline, on the hub.
    """
    if reference.partition(":")[0] == SCRATCH:
        return is_encoder(reference)
    if Path(reference).expanduser().is_file():
        return False
    return str(read_json(base_folder(reference) / CONFIG).get("model_type")) in ENCODERS


def base_folder(reference: str) -> Path:
    """The folder of a base: a local one, or what lies here of the hub's.

    Raises:
        InputError: when there is none, or it cannot be opened safely.
    """
    path = Path(reference).expanduser()
    folder = path if path.is_dir() else from_hub(reference)
    check_layout(folder)
    return folder


def needs_encoder(task: Task) -> bool:
    """Whether a task is solved by an encoder: its kind asks for one, or its base is one.

    Raises:
        InputError: as :func:`is_encoder_base`.
    """
    return task.kind in LISTED or is_encoder_base(task.base)


def open_base(
    reference: str,
    wrap: Wrap,
    labels: Sequence[str] = (),
    *,
    add_tokens: Sequence[str] = (),
    marks: Sequence[str] = (),
    head: Use = "next-token",
    num_labels: int = 0,
    seed: int = 0,
    dropout: float | None = None,
) -> Base:
    """Open a local folder, a hub id or a ``.bin`` of llama2.c.

    Args:
        reference: ``recipe.base``.
        wrap: makes hone's tokenizer, see :data:`hone.model.folder.Wrap`.
        labels: classes: a decoder gets a token for each, an encoder's head an output for each.
        add_tokens: texts that become one token each.
        marks: further special tokens of a decoder's, such as those of a conversation's roles.
        head: what the model is for; all but ``next-token`` need an encoder.
        num_labels: classes of an encoder's head where they have no names.
        seed: of a new head.
        dropout: replaces every dropout rate of the model's config; ``None`` keeps them.

    Raises:
        InputError: when there is no such model here or, offline, on the hub; it cannot be opened safely or is of
            another kind; or its tokenizer is another model's.
    """
    path = Path(reference).expanduser()
    source = Llama2cFile(path) if path.is_file() else ModelFiles(path if path.is_dir() else from_hub(reference))
    check_use(source.folder, source.config, head)
    names = tuple(labels) or tuple(f"LABEL_{index}" for index in range(num_labels))
    check_labels(head, len(names))
    return Base(
        reference=reference,
        source=source,
        wrap=wrap,
        opening=Opening(
            use=head, labels=names if head in ("classify-sequence", "tag-tokens") else (), seed=seed, dropout=dropout
        ),
        labels=tuple(labels),
        add_tokens=tuple(add_tokens),
        marks=tuple(marks),
    )
