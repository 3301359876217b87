"""llama.cpp's own tokenizer over the vocabulary inside an artifact."""

from __future__ import annotations

import ctypes as c
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from hone.deploy.llama.library import Library
from hone.errors import FailedError, InputError


class Vocabulary:
    """Text to ids and back, as the runtime does it on the device."""

    def __init__(self, library: Library, vocabulary: Any) -> None:
        self._library, self._vocabulary = library, vocabulary
        self.size = int(library.llama_vocab_n_tokens(vocabulary))

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text; text that looks like a special token is text.

        Raises:
            InputError: for text that is not valid Unicode.
        """
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(
                f"character {error.start} is half of a surrogate pair, which is not Unicode text"
            ) from None
        # Byte-level tokens: never more ids than bytes.
        buffer = (c.c_int32 * max(1, len(data)))()
        count = self._library.llama_tokenize(self._vocabulary, data, len(data), buffer, len(buffer), False, False)
        if count < 0:
            raise FailedError(f"llama.cpp wants {-count} ids for a text of {len(data)} bytes")
        return list(buffer[:count])

    def piece(self, ids: Sequence[int]) -> bytes:
        """Bytes of ids, special ids left out; the bytes may begin or end inside a character."""
        return b"".join(self._piece(token) for token in ids)

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

    def token_id(self, text: str) -> int:
        """Id of the token that is written exactly like this; -1 when there is none."""
        return self._by_text.get(text, -1)

    @cached_property
    def _by_text(self) -> dict[str, int]:
        texts = (self._library.llama_vocab_get_text(self._vocabulary, token) for token in range(self.size))
        return {text.decode("utf-8", "replace"): token for token, text in enumerate(texts)}
