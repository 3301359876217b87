"""Text and ids of an ONNX artifact: the ``tokenizer.json`` that lies beside the model, and what the model carries."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from hone.data.tokenizer import TextTokenizer
from hone.errors import InputError


class Texts:
    """The part of a session that computes nothing; a subclass sets the three fields."""

    vocab_size: int
    _path: Path
    _metadata: dict[str, str]

    def metadata(self, key: str) -> str:
        """A text stored in the artifact; empty when there is none under that key."""
        return self._metadata.get(key, "")

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text; never a special id."""
        return self._tokenizer.encode(text)

    def encode_with_places(self, text: str) -> tuple[list[int], list[tuple[int, int]], list[int]]:
        """Ids of plain text, the characters that each came from, and the word that each belongs to."""
        return self._tokenizer.encode_with_places(text)

    def detokenize(self, ids: Sequence[int]) -> str:
        """Text of ids, special ids left out."""
        wrong = [one for one in ids if not 0 <= one < self.vocab_size]
        if wrong:
            raise InputError(f"id {wrong[0]} is outside the vocabulary of {self.vocab_size}")
        return self._tokenizer.decode(ids)

    def token_id(self, text: str) -> int:
        """Id of the token that is written exactly like this; -1 when there is none."""
        return self._tokenizer.token_id(text)

    @cached_property
    def _tokenizer(self) -> TextTokenizer:
        return TextTokenizer.open(self._path.parent)
