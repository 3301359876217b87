"""A byte-level BPE tokenizer: any Unicode text in, the same text out, and no text becomes a special token.

The split regex is GPT-2's exactly (Radford et al. 2019), so that llama.cpp with ``pre = gpt-2`` gives the
same ids. All 256 bytes are tokens, so nothing is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.errors import FailedError, InputError, nearest
from hone.files import atomic_write, content_hash, write_json
from hone.task.encoding import MASK
from hone.task.render import BEGIN, END, PAD, SPECIALS, label_token

if TYPE_CHECKING:
    from tokenizers import Tokenizer as RustTokenizer

FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
NUM_BYTES = 256
ENCODER_SPECIALS = (PAD, BEGIN, MASK, END)
"""Special tokens of a tokenizer that is trained for an encoder: ids 0 to 3."""
_DECODER_ROLES = {"pad_token": (PAD,), "bos_token": (BEGIN,), "eos_token": (END,)}
_ENCODER_ROLES = {
    "pad_token": (PAD, "[PAD]", "<pad>"),
    "cls_token": (BEGIN, "[CLS]", "<s>"),
    "sep_token": (END, "[SEP]", "</s>"),
    "mask_token": (MASK, "[MASK]", "<mask>"),
}
"""Roles in ``tokenizer_config.json``, and the names that their tokens have in hone's, BERT's and RoBERTa's files."""


class TextTokenizer:
    """Text to ids and back; satisfies the renderer's ``Tokenizer`` protocol."""

    def __init__(self, rust: RustTokenizer) -> None:
        # Without this the text "<|end|>" in a user's row would become the end of the row (law 4).
        rust.encode_special_tokens = True
        # Files of encoders often bring a length to cut at and one to pad to; nothing is cut or padded silently.
        rust.no_truncation()
        rust.no_padding()
        self._rust = rust
        self._special_ids = {
            token.content: token_id for token_id, token in rust.get_added_tokens_decoder().items() if token.special
        }

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included."""
        return self._rust.get_vocab_size(with_added_tokens=True)

    @property
    def specials(self) -> dict[str, int]:
        """Special tokens by name, in the order of their ids."""
        return dict(sorted(self._special_ids.items(), key=lambda item: item[1]))

    @property
    def encoder_marks(self) -> dict[str, str]:
        """The marks of an encoder by role, as its files usually name them: none without a token to mask with."""
        names = {role: next((n for n in known if n in self._special_ids), "") for role, known in _ENCODER_ROLES.items()}
        roles = {"pad": "pad_token", "begin": "cls_token", "end": "sep_token", "mask": "mask_token"}
        return {role: names[key] for role, key in roles.items()} if all(names.values()) else {}

    @cached_property
    def hash(self) -> str:
        """12 hex digits of the whole tokenizer: equal hashes give equal ids for every text."""
        return content_hash(json.loads(self._rust.to_str()))

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; never a special id, whatever the text says.

        Raises:
            InputError: for half of a surrogate pair, which is not text.
        """
        try:
            return list(self._rust.encode(text, add_special_tokens=False).ids)
        except (UnicodeEncodeError, TypeError):
            raise InputError(_no_text(text)) from None

    def encode_with_places(self, text: str) -> tuple[list[int], list[tuple[int, int]], list[int]]:
        """Ids as :meth:`encode` gives them, the characters that each came from, and the word that each belongs to.

        Raises:
            InputError: for half of a surrogate pair, which is not text.
        """
        try:
            found = self._rust.encode(text, add_special_tokens=False)
        except (UnicodeEncodeError, TypeError):
            raise InputError(_no_text(text)) from None
        # Without special tokens each token belongs to a word; one that says none is a word of its own.
        words = [-1 - index if word is None else word for index, word in enumerate(found.word_ids)]
        return list(found.ids), list(found.offsets), words

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special ids left out; bytes that are no UTF-8 become U+FFFD."""
        return str(self._rust.decode(list(ids), skip_special_tokens=True))

    def entry_id(self, text: str) -> int | None:
        """Id of the vocabulary's entry that stands for exactly this text, also where no merge leads to it."""
        found: int | None = self._rust.token_to_id(byte_level(text))
        return found

    def token_id(self, written: str) -> int:
        """Id of the token that the file writes exactly like this; -1 when there is none."""
        found: int | None = self._rust.token_to_id(written)
        return -1 if found is None else found

    def special_id(self, name: str) -> int:
        """Id of a special token.

        Raises:
            InputError: when there is none of that name.
        """
        if name not in self._special_ids:
            raise InputError(
                f'the tokenizer has no special token "{name}"; {nearest(name, list(self._special_ids) or ["none"])}'
            )
        return self._special_ids[name]

    def save(self, folder: Path) -> Path:
        """Write ``tokenizer.json`` and a ``tokenizer_config.json`` with which Transformers gives the same ids."""
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write(folder / FILE, self._rust.to_str(pretty=True))
        config: dict[str, Any] = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "split_special_tokens": True,
            "clean_up_tokenization_spaces": False,
            "add_bos_token": False,
            "add_eos_token": False,
        }
        masks = not self._special_ids.keys().isdisjoint(_ENCODER_ROLES["mask_token"])
        for role, names in (_ENCODER_ROLES if masks else _DECODER_ROLES).items():
            if known := [name for name in names if name in self._special_ids]:
                config[role] = known[0]
        write_json(folder / CONFIG_FILE, config)
        return folder

    @classmethod
    def open(cls, folder: str | Path) -> TextTokenizer:
        """Open a saved folder.

        Raises:
            InputError: when the folder has no ``tokenizer.json``.
            FailedError: when that file is damaged.
        """
        from tokenizers import Tokenizer

        path = Path(folder) / FILE
        if not path.is_file():
            raise InputError(f"{path}: there is no such file; a tokenizer folder holds {FILE}")
        try:
            return cls(Tokenizer.from_file(str(path)))
        except Exception as error:  # tokenizers raises bare Exception
            raise FailedError(f"{path}: not a whole tokenizer: {error}") from error


def train_tokenizer(
    texts: Iterable[str],
    vocab_size: int,
    labels: Sequence[str] = (),
    frames: Sequence[str] = (),
    *,
    specials: Sequence[str] = SPECIALS,
) -> TextTokenizer:
    """Train a byte-level BPE tokenizer; the same texts give the same tokenizer.

    Ids 0-3 are ``specials`` (``<|pad|>``, ``<|begin|>``, ``<|answer|>``, ``<|end|>``), then one per label, then the 256
    bytes, then merges, then one per frame (:mod:`hone.task.layouts`): an entry that no merge leads to. Small data may
    give fewer ids than ``vocab_size``; the rest simply does not exist.

    Raises:
        InputError: when ``vocab_size`` has no room for bytes and special tokens, or a label stands twice.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    names = [*specials, *map(label_token, labels)]
    if len(set(names)) != len(names):
        raise InputError(f"the {len(labels)} labels hold one twice; each needs a token of its own")
    least = NUM_BYTES + len(names) + len(frames)
    if vocab_size < least:
        raise InputError(
            f"vocab_size {vocab_size} is too small: {NUM_BYTES} bytes + {len(names)} special tokens "
            f"({len(labels)} of them labels) + {len(frames)} frames need at least {least}"
        )
    rust = Tokenizer(models.BPE())
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    rust.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(frames),
        special_tokens=[AddedToken(name, special=True, normalized=False) for name in names],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    rust.train_from_iterator(_whole(texts), trainer)
    return TextTokenizer(_with_entries(rust, frames) if frames else rust)


def _with_entries(rust: RustTokenizer, texts: Sequence[str]) -> RustTokenizer:
    """The tokenizer with one more entry per text behind its own; those that merges already make are left alone."""
    from tokenizers import Tokenizer

    data = json.loads(rust.to_str())
    vocab = data["model"]["vocab"]
    following = rust.get_vocab_size(with_added_tokens=True)
    for text in texts:
        entry = byte_level(text)
        if entry not in vocab:
            vocab[entry] = following
            following += 1
    return Tokenizer.from_str(json.dumps(data, ensure_ascii=False))


def byte_level(text: str) -> str:
    """A text as a byte-level vocabulary writes it: one printable character per byte (GPT-2's table)."""
    return "".join(_BYTE_CHARACTERS[byte] for byte in text.encode("utf-8"))


def _byte_characters() -> list[str]:
    """Bytes that are printable stand for themselves; the other 68 follow from U+0100 on, in order (Radford 2019)."""
    plain = {*range(ord("!"), ord("~") + 1), *range(ord("\u00a1"), ord("\u00ac") + 1), *range(ord("\u00ae"), 256)}
    others = (byte for byte in range(NUM_BYTES) if byte not in plain)
    moved = {byte: chr(NUM_BYTES + index) for index, byte in enumerate(others)}
    return [moved.get(byte, chr(byte)) for byte in range(NUM_BYTES)]


_BYTE_CHARACTERS = _byte_characters()


def _whole(texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise InputError(_no_text(text)) from None
        yield text


def _no_text(text: str) -> str:
    at = next(i for i, char in enumerate(text) if 0xD800 <= ord(char) < 0xE000)
    return f"character {at:,} of a text is U+{ord(text[at]):04X}, half of a surrogate pair, which is not Unicode text"
