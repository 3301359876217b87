"""llama.cpp's own tokenizer over the vocabulary inside an artifact, and the little that it leaves to its caller."""

from __future__ import annotations

import ctypes as c
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hone.deploy.llama.library import Library
from hone.errors import FailedError, InputError

SPACE = "\u2581"
"""What SentencePiece writes for a space, and llama.cpp in front of the first piece of a word."""
UNKNOWN_WORD = "[UNK]"
"""WordPiece's token for a word that no pieces make."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextRules:
    """Where a tokenizer differs from llama.cpp's of its kind. Other programs over the same file do without these."""

    space_prefix: str = ""
    """SentencePiece: what stands in front of a text. ``always`` is llama.cpp's own space, ``once`` the same where the
    text does not begin with one (files of llama2.c)."""
    decomposed: bool = False
    """WordPiece: characters are taken apart by Unicode's NFD. llama.cpp keeps the first part of each alone, which loses
    the vowels of Korean."""
    longest_word: int = 0
    """WordPiece: a word of more characters is unknown; 0 for no limit."""

    @classmethod
    def of(cls, metadata: Callable[[str], str]) -> TextRules:
        """The rules that an artifact says."""
        return cls(
            space_prefix=metadata("hone.space_prefix"),
            decomposed=metadata("hone.decomposed") == "nfd",
            longest_word=int(metadata("hone.longest_word") or 0),
        )


class Vocabulary:
    """Text to ids and back, as the runtime does it on the device.

    Args:
        library: llama.cpp.
        vocabulary: its vocabulary of an opened model.
        rules: see :class:`TextRules`.
    """

    def __init__(self, library: Library, vocabulary: Any, rules: TextRules) -> None:
        self._library, self._vocabulary, self._rules = library, vocabulary, rules
        self.size = int(library.llama_vocab_n_tokens(vocabulary))

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text; text that looks like a special token is text.

        Raises:
            InputError: for text that is not valid Unicode.
        """
        try:
            data = self._given(text).encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(
                f"character {error.start} is half of a surrogate pair, which is not Unicode text"
            ) from None
        if text and not data:
            return [self.token_id(SPACE)]
        # Never more ids than bytes and the space in front.
        buffer = (c.c_int32 * (1 + len(data)))()
        count = self._library.llama_tokenize(self._vocabulary, data, len(data), buffer, len(buffer), False, False)
        if count < 0:
            raise FailedError(f"llama.cpp wants {-count} ids for a text of {len(data)} bytes")
        ids = list(buffer[:count])
        return self._without_long_words(ids) if 0 < self._rules.longest_word < len(text) else ids

    def text(self, ids: Sequence[int]) -> str:
        """Text of ids, special ids and the space in front left out; bytes that are no UTF-8 become U+FFFD."""
        found = self.piece(ids).decode("utf-8", "replace")
        return found.removeprefix(" ") if self._rules.space_prefix else found

    def piece(self, ids: Sequence[int]) -> bytes:
        """Bytes of ids, special ids left out; the bytes may begin or end inside a character."""
        return b"".join(self._piece(token) for token in ids)

    def token_id(self, text: str) -> int:
        """Id of the token that is written exactly like this; -1 when there is none."""
        return self._by_text.get(text, -1)

    def _given(self, text: str) -> str:
        """The text whose ids are asked of llama.cpp."""
        if self._rules.decomposed:
            return unicodedata.normalize("NFD", text)
        # llama.cpp puts a space in front of it.
        return text[1:] if self._rules.space_prefix == "once" and text[:1] in (" ", SPACE) else text

    def _without_long_words(self, ids: Sequence[int]) -> list[int]:
        """Ids with one unknown token for each word of more characters than the limit."""
        words: list[list[int]] = []
        for token in ids:
            if not words or self._texts[token].startswith(SPACE) or self._texts[words[-1][-1]] == UNKNOWN_WORD:
                words.append([])
            words[-1].append(token)
        unknown, limit = self.token_id(UNKNOWN_WORD), self._rules.longest_word
        lengths = [sum(len(self._texts[token].removeprefix(SPACE)) for token in word) for word in words]
        return [
            token for word, size in zip(words, lengths, strict=True) for token in ([unknown] if size > limit else word)
        ]

    def _piece(self, token: int) -> bytes:
        if not 0 <= token < self.size:
            raise InputError(f"id {token} is outside the vocabulary of {self.size}")
        size = 64
        while True:
            buffer = c.create_string_buffer(size)
            length = self._library.llama_token_to_piece(self._vocabulary, token, buffer, size, 0, False)
            if length >= 0:
                return buffer.raw[:length]
            size = -length

    @cached_property
    def _texts(self) -> list[str]:
        texts = (self._library.llama_vocab_get_text(self._vocabulary, token) for token in range(self.size))
        return [text.decode("utf-8", "replace") for text in texts]

    @cached_property
    def _by_text(self) -> dict[str, int]:
        return {text: token for token, text in enumerate(self._texts)}
