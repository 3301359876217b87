"""Model folders: Hugging Face layout plus ``hone.json``, which carries the proof that the folder is understood.

``hone.json`` holds the renderer, eight rendered rows as token ids, the SHA-256 of each file and the model's
origin. Whoever opens the folder renders these rows again and refuses at the first different id (law 4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hone.errors import FailedError, InputError
from hone.files import atomic_folder, content_hash, file_hash, read_json, write_json
from hone.model.soft_prompts import masked
from hone.model.vocabulary import check_sizes, embedding_rows
from hone.model.weights import CONFIG, Opening, check_layout, load_module, quietly, tensor_shapes
from hone.task.render import Renderer, Tokenizer
from hone.task.soft_prompt import soft_prompt_of

if TYPE_CHECKING:
    from torch import nn

FORMAT = 1
HONE_FILE = "hone.json"
TOKENIZER_FILE = "tokenizer.json"

Wrap = Callable[[Any], Tokenizer]
"""Makes hone's tokenizer of one of the ``tokenizers`` library; ``TextTokenizer`` itself. The data room has it, and
the rooms of one floor don't know each other, so callers hand it in."""


class SavedTokenizer(Tokenizer, Protocol):
    """A tokenizer that can write itself into a folder."""

    @property
    def hash(self) -> str:
        """Hex digits of the whole tokenizer: equal hashes give equal ids for every text."""
        ...

    def save(self, folder: Path) -> Path:
        """Write ``tokenizer.json`` and what belongs to it."""
        ...


class ModelFolder:
    """A model that hone wrote. Opening checks the layout and reads ``hone.json``; nothing heavy happens yet.

    Args:
        path: the folder.
        wrap: see :data:`Wrap`.

    Raises:
        InputError: when it is not a model folder of hone's, is of a newer format, or holds pickles.
    """

    def __init__(self, path: Path | str, wrap: Wrap) -> None:
        self.path = Path(path)
        self._wrap = wrap
        check_layout(self.path)
        if not (self.path / HONE_FILE).is_file():
            raise InputError(
                f"{self.path} has no {HONE_FILE}, so hone does not know how its prompts are written; "
                "train it on a task first (base: takes any model folder)"
            )
        self.config: dict[str, Any] = read_json(self.path / CONFIG)
        self.hone: dict[str, Any] = read_json(self.path / HONE_FILE)
        if self.hone.get("format") != FORMAT:
            raise InputError(
                f"{self.path / HONE_FILE} has format {self.hone.get('format')}; this version reads {FORMAT}"
            )

    def tokenizer(self) -> Tokenizer:
        """The folder's tokenizer."""
        return self._wrap(read_tokenizer(self.path))

    def renderer(self) -> Renderer:
        """The renderer that the model was trained with, checked against the stored examples.

        Raises:
            FailedError: when a stored row renders differently, naming the first different id.
        """
        renderer = Renderer.from_json(self.hone["renderer"], self.tokenizer())
        renderer.verify(self.hone["examples"])
        return renderer

    def verify(self) -> None:
        """Check every file against its hash and every stored example against the renderer.

        Raises:
            FailedError: naming the first file that has changed, or the first different id.
            InputError: when the tokenizer has ids without a row in the model.
        """
        for name, expected in self.hone["hashes"].items():
            path = self.path / name
            if not path.is_file():
                raise FailedError(f"{self.path}: {name} is missing")
            if (found := file_hash(path)) != expected:
                raise FailedError(f"{path} has SHA-256 {found[:12]}, {expected[:12]} was written; the file has changed")
        rows = embedding_rows(tensor_shapes(self.path))
        ids = read_tokenizer(self.path).get_vocab(with_added_tokens=True).values()
        check_sizes(self.path, self.config, ids, rows)
        self.renderer()

    def load(self) -> nn.Module:
        """The module, in float32 on the CPU, in evaluation mode, after :meth:`verify`.

        An encoder has the head of the objective that it was trained with; a soft prompt's logits are masked.
        """
        self.verify()
        module = load_module(self.path, Opening(use=self.hone.get("objective", "next-token")))
        soft = soft_prompt_of(self.hone["renderer"])
        return masked(module, soft) if soft else module


def files_id(path: Path) -> str:
    """12 hex digits of the hashes that a folder's ``hone.json`` holds of its files; "" without such hashes.

    Raises:
        FailedError: when the file is no whole JSON.
    """
    described = path / HONE_FILE
    hashes = read_json(described).get("hashes") if described.is_file() else None
    return content_hash(hashes) if hashes else ""


def verify_examples(path: Path | str, wrap: Wrap) -> None:
    """Render a folder's stored examples again (law 4).

    Raises:
        FailedError: at the first different id, naming row, position and both ids.
    """
    ModelFolder(path, wrap).renderer()


def save_model_folder(
    path: Path,
    module: Any,
    tokenizer: SavedTokenizer,
    renderer: Renderer,
    examples: Sequence[Mapping[str, Any]],
    meta: Mapping[str, Any],
) -> Path:
    """Write a model folder that appears whole or not at all.

    Args:
        path: where; a folder there is replaced.
        module: a Transformers model.
        tokenizer: the one that ``renderer`` uses.
        renderer: how prompts and answers are written.
        examples: rendered rows, as :meth:`hone.task.render.Renderer.stored_example` makes them.
        meta: identity: task, recipe, data, base.

    Raises:
        FailedError: when an example does not render as stored, the tokenizer has ids that the model has no row for, or
            the disk refuses; nothing is left under ``path``.
        InputError: when ``meta`` uses a name that is taken.
    """
    from safetensors import SafetensorError

    renderer.verify(examples)
    rows = module.get_input_embeddings().weight.shape[0]
    if tokenizer.vocab_size > rows:
        raise FailedError(
            f"the tokenizer has {tokenizer.vocab_size:,} ids, the embedding {rows:,} rows: whoever opens "
            f"{path} would have no row for the last {tokenizer.vocab_size - rows:,}. Nothing was written"
        )
    own = {
        "format": FORMAT,
        "kind": renderer.kind,
        "labels": list(renderer.labels),
        "renderer": renderer.to_json(),
        "examples": [dict(example) for example in examples],
        "tokenizer": {"hash": tokenizer.hash, "size": tokenizer.vocab_size},
    }
    if taken := sorted((own.keys() | {"hashes"}) & meta.keys()):
        raise InputError(f"{', '.join(taken)} cannot be given as meta: {HONE_FILE} has its own values for them")
    with atomic_folder(path) as part:
        try:
            with quietly():
                module.save_pretrained(part)
        except SafetensorError as error:
            raise FailedError(f"could not write the weights of {path}: {error}; nothing was left there") from error
        tokenizer.save(part)
        hashes = {file.name: file_hash(file) for file in sorted(part.iterdir()) if file.is_file()}
        write_json(part / HONE_FILE, {**own, **meta, "hashes": hashes})
    return path


def read_tokenizer(folder: Path) -> Any:
    """The ``tokenizers.Tokenizer`` of a folder; padding and cutting that it asks for are left out.

    Raises:
        InputError: when there is no ``tokenizer.json``, or it gives added tokens ids that they cannot have.
        FailedError: when it is damaged.
    """
    from tokenizers import Tokenizer as RustTokenizer

    path = folder / TOKENIZER_FILE
    if not path.is_file():
        raise InputError(f"{folder} has no {TOKENIZER_FILE}; only fast tokenizers can be opened")
    try:
        rust = RustTokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise FailedError(f"{path} is not a whole tokenizer: {error}") from error
    # A folder may ask for padding to 128 tokens, or for cutting there: neither is for the tokenizer to decide here.
    rust.no_padding()
    rust.no_truncation()
    _check_added(path, rust)
    return rust


def _check_added(path: Path, rust: Any) -> None:
    """Refuse added tokens that the library gives other ids than the file: they would take another token's row."""
    stated = {str(one["content"]): int(one["id"]) for one in read_json(path).get("added_tokens") or ()}
    moved = [(name, told, rust.token_to_id(name)) for name, told in stated.items() if rust.token_to_id(name) != told]
    if moved:
        name, told, given = moved[0]
        more = f", and {len(moved) - 1:,} more" if len(moved) > 1 else ""
        raise InputError(
            f"{path} gives the added token {name} the id {told:,}, which does not follow on its other ids, so that it "
            f"would become {given:,}{more}; it is the tokenizer of another model, or was changed by hand"
        )
