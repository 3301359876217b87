"""An opened GGUF file: its weights, its texts, its tokenizer, and one context over it."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import create_string_buffer
from pathlib import Path

from hone.deploy.llama.library import ContextParams, Library, open_library
from hone.deploy.llama.precision import check_widened, widen
from hone.deploy.llama.vocabulary import TextRules, Vocabulary
from hone.errors import FailedError, InputError


class LoadedModel:
    """What sessions of decoders and encoders do alike. A subclass calls :meth:`_load`, then :meth:`_begin`."""

    context: int
    vocab_size: int
    threads: int
    _library: Library
    _model: int | None
    _context: int | None

    def _load(self, path: Path, threads: int, context: int) -> None:
        """Load the weights and the tokenizer.

        Raises:
            InputError: when the file is missing or ``context`` is longer than the model's.
            FailedError: when llama.cpp refuses the file, with its own words.
        """
        if not path.is_file():
            raise InputError(f"{path}: there is no such artifact")
        self._context, self._library = None, open_library()
        library = self._library
        self._model = library.llama_model_load_from_file(str(path).encode(), library.llama_model_default_params())
        if not self._model:
            raise FailedError(f"{path}: llama.cpp cannot load it: {library.last_words()}")
        trained = int(library.llama_model_n_ctx_train(self._model))
        if context > trained:
            self.close()
            raise InputError(f"{path}: context {context} is over the {trained} tokens that the model was built for")
        self.context, self.threads = context, threads
        words = library.llama_model_get_vocab(self._model)
        self._vocabulary = Vocabulary(library, words, TextRules.of(self.metadata))
        self.vocab_size = self._vocabulary.size

    def _begin(self, path: Path, params: ContextParams, *, cached: bool) -> None:
        """Make the context; in 32 bits where the weights have them. ``cached``: it keeps keys and values.

        Raises:
            FailedError: when llama.cpp refuses, or takes something else than was asked for; all is closed then.
        """
        library = self._library
        exact = self.metadata("hone.weights") == "f32"
        wanted = (params.n_seq_max, self.threads)
        try:
            if exact:
                widen(params)
                library.listen()
            self._context = library.llama_init_from_model(self._model, params)
            if not self._context:
                tokens = f"{params.n_ctx} tokens in {params.n_seq_max} sequences"
                raise FailedError(f"{path}: llama.cpp cannot start with {tokens}: {library.last_words()}")
            if exact:
                check_widened(library, cached=cached)
            library.llama_set_n_threads(self._context, self.threads, self.threads)
            arrived = (library.llama_n_seq_max(self._context), library.llama_n_threads(self._context))
            room = library.llama_n_ctx_seq(self._context)
            if arrived != wanted or room < self.context:
                raise FailedError(
                    f"llama.cpp took sequences, threads {arrived} and {room} tokens each instead of {wanted} and "
                    f"{self.context}: its layout has changed"
                )
        except FailedError:
            self.close()
            raise

    def metadata(self, key: str) -> str:
        """A text stored in the artifact; empty when there is none under that key."""
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

    def close(self) -> None:
        """Free the context and the model."""
        if self._context:
            self._library.llama_free(self._context)
            self._context = None
        if self._model:
            self._library.llama_model_free(self._model)
            self._model = None
