"""llama.cpp's own tokenizer over the vocabulary inside an artifact."""

from __future__ import annotations

import ctypes as c
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from hone.deploy.llama.library import Library
from hone.errors import FailedError, InputError

SPACE = "\u2581"
"""What SentencePiece writes for a space."""


class Vocabulary:
    """Text to ids and back, as the runtime does it on the device.

    Args:
        library: llama.cpp.
        vocabulary: its vocabulary of an opened model.
        space_prefix: of SentencePiece tokenizers, what stands in front of a text: ``always`` llama.cpp's own space,
            ``once`` the same where the text does not begin with one already (files of llama2.c).
    """

    def __init__(self, library: Library, vocabulary: Any, space_prefix: str = "") -> None:
        self._library, self._vocabulary, self._space_prefix = library, vocabulary, space_prefix
        self.size = int(library.llama_vocab_n_tokens(vocabulary))

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text; text that looks like a special token is text.

        Raises:
            InputError: for text that is not valid Unicode.
        """
        try:
            data = self._without_first_space(text).encode("utf-8")
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
        return list(buffer[:count])

    def _without_first_space(self, text: str) -> str:
        """The text whose ids are asked of llama.cpp, which puts a space in front of it."""
        return text[1:] if self._space_prefix == "once" and text[:1] in (" ", SPACE) else text

    def text(self, ids: Sequence[int]) -> str:
        """Text of ids, special ids and the space in front left out; bytes that are no UTF-8 become U+FFFD."""
        found = self.piece(ids).decode("utf-8", "replace")
        return found.removeprefix(" ") if self._space_prefix else found

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
