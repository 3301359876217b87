"""GGUF artifacts run by llama.cpp in this process, driven by token ids.

A session holds one context with ``parallel`` sequences; what it makes of their passes is :mod:`hone.deploy.passes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hone.deploy.llama.batch import TokenBatch
from hone.deploy.llama.library import Library, open_library
from hone.deploy.llama.vocabulary import Vocabulary
from hone.deploy.passes import Pass, PassSession
from hone.errors import FailedError, InputError

BATCH_TOKENS = 2048
COMPUTE_TOKENS = 512


class LlamaCppSession(PassSession):
    """An opened GGUF artifact, see :class:`hone.deploy.runtime.Session`.

    Args:
        path: the artifact.
        threads: CPU threads for every pass.
        context: longest prompt and answer together, in tokens; at most what the model was trained for.
        parallel: sequences computed at once (each costs its own key-value cache).

    Raises:
        InputError: when the file is missing or ``context`` is longer than the model's.
        FailedError: when llama.cpp refuses the file, with its own words.
    """

    def __init__(self, path: Path, *, threads: int, context: int, parallel: int = 1) -> None:
        super().__init__()
        if not path.is_file():
            raise InputError(f"{path}: there is no such artifact")
        self._library: Library = open_library()
        library = self._library
        self._model = library.llama_model_load_from_file(str(path).encode(), library.llama_model_default_params())
        self._context: int | None = None
        if not self._model:
            raise FailedError(f"{path}: llama.cpp cannot load it: {library.last_words()}")
        trained = int(library.llama_model_n_ctx_train(self._model))
        if context > trained:
            self.close()
            raise InputError(f"{path}: context {context} is over the {trained} tokens that the model was built for")
        self.context, self.threads, self.parallel = context, threads, parallel
        words = library.llama_model_get_vocab(self._model)
        self._vocabulary = Vocabulary(library, words, self.metadata("hone.space_prefix"))
        self.vocab_size = self._vocabulary.size
        self._start(path)

    def _start(self, path: Path) -> None:
        library = self._library
        params = library.llama_context_default_params()
        params.n_ctx, params.n_seq_max = self.context * self.parallel, self.parallel
        params.n_batch, params.n_ubatch = BATCH_TOKENS, COMPUTE_TOKENS
        self._context = library.llama_init_from_model(self._model, params)
        if not self._context:
            reason = library.last_words()
            self.close()
            raise FailedError(f"{path}: llama.cpp cannot start with {self.parallel} x {self.context} tokens: {reason}")
        library.llama_set_n_threads(self._context, self.threads, self.threads)
        arrived = (library.llama_n_seq_max(self._context), library.llama_n_threads(self._context))
        room = library.llama_n_ctx_seq(self._context)
        if arrived != (self.parallel, self.threads) or room < self.context:
            self.close()
            raise FailedError(
                f"llama.cpp took sequences, threads {arrived} and {room} tokens each instead of "
                f"{(self.parallel, self.threads)} and {self.context}: its layout has changed"
            )
        self._memory = library.llama_get_memory(self._context)
        self._batch = TokenBatch(library, self._context, self.vocab_size, BATCH_TOKENS)

    # Text and ids.

    def metadata(self, key: str) -> str:
        """A text stored in the artifact; empty when there is none under that key."""
        from ctypes import create_string_buffer

        size = 1 << 12
        while True:
            buffer = create_string_buffer(size)
            length = self._library.llama_model_meta_val_str(self._model, key.encode(), buffer, size)
            if length < 0:
                return ""
            if length < size:
                return buffer.value.decode("utf-8")
            size = length + 1

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text by llama.cpp's tokenizer; never a special id."""
        return self._vocabulary.tokenize(text)

    def detokenize(self, ids: Sequence[int]) -> str:
        """Text of ids by llama.cpp's tokenizer, special ids left out."""
        return self._vocabulary.text(ids)

    def token_id(self, text: str) -> int:
        """Id of the token that is written exactly like this; -1 when there is none."""
        return self._vocabulary.token_id(text)

    # Passes, for what PassSession makes of them.

    @property
    def _is_open(self) -> bool:
        return bool(self._context)

    def _compute(self, passes: Sequence[Pass]) -> list[NDArray[np.float32]]:
        return self._batch.run(passes)

    def _clear(self) -> None:
        self._library.llama_memory_clear(self._memory, False)

    def _forget(self, sequence: int) -> None:
        self._library.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def close(self) -> None:
        """Free the context and the model."""
        if self._context:
            self._library.llama_free(self._context)
            self._context = None
        if self._model:
            self._library.llama_model_free(self._model)
            self._model = None
