"""The C interface of llama.cpp (``llama.h``) as the ``xllamacpp`` wheel carries it, through ctypes.

The wheel's Python classes wrap llama.cpp's HTTP server: it gives log-probabilities of *generated* tokens
only, leaves out those whose bytes end inside a character, and moves each number as JSON. The same library
exports the C functions, which give the logits of every position of a batch at once: a parity check over a
thousand positions takes a third of a second instead of tens.

The C interface may change between versions. So only the first four fields of one structure are written,
``llama_batch`` is laid out by llama.cpp itself, and :func:`open_library` compares defaults with what it knows
and refuses another layout; the context's getters confirm afterwards that the fields arrived.
"""

from __future__ import annotations

import ctypes as c
import importlib.util
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from hone.errors import FailedError, InputError

INT_P = c.POINTER(c.c_int32)
LOG_CALLBACK = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)
# Defaults of llama_context_params: n_ctx, n_batch, n_ubatch, n_seq_max (llama.h).
KNOWN_DEFAULTS = (512, 2048, 512, 1)


class ModelParams(c.Structure):
    """``llama_model_params``, opaque: passed on as its defaults.

    Longer than the real one, which is harmless where large structures go by memory (x86-64 and ARM64 alike)
    and it is the last argument.
    """

    _fields_ = [("opaque", c.c_byte * 1024)]


class ContextParams(c.Structure):
    """``llama_context_params``: its first four fields, the rest opaque."""

    _fields_ = [
        ("n_ctx", c.c_uint32),
        ("n_batch", c.c_uint32),
        ("n_ubatch", c.c_uint32),
        ("n_seq_max", c.c_uint32),
        ("opaque", c.c_byte * 1024),
    ]


class Batch(c.Structure):
    """``llama_batch``: tokens with position, sequence and whether their logits are wanted."""

    _fields_ = [
        ("n_tokens", c.c_int32),
        ("token", INT_P),
        ("embd", c.c_void_p),
        ("pos", INT_P),
        ("n_seq_id", INT_P),
        ("seq_id", c.POINTER(INT_P)),
        ("logits", c.POINTER(c.c_int8)),
    ]


# name: (result, arguments), as in llama.h
SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "llama_backend_init": (None, ()),
    "llama_log_set": (None, (LOG_CALLBACK, c.c_void_p)),
    "llama_model_default_params": (ModelParams, ()),
    "llama_context_default_params": (ContextParams, ()),
    "llama_model_load_from_file": (c.c_void_p, (c.c_char_p, ModelParams)),
    "llama_model_free": (None, (c.c_void_p,)),
    "llama_model_n_ctx_train": (c.c_int32, (c.c_void_p,)),
    "llama_model_n_layer": (c.c_int32, (c.c_void_p,)),
    "llama_model_n_embd": (c.c_int32, (c.c_void_p,)),
    "llama_model_meta_val_str": (c.c_int32, (c.c_void_p, c.c_char_p, c.c_char_p, c.c_size_t)),
    "llama_model_get_vocab": (c.c_void_p, (c.c_void_p,)),
    "llama_init_from_model": (c.c_void_p, (c.c_void_p, ContextParams)),
    "llama_free": (None, (c.c_void_p,)),
    "llama_n_ctx_seq": (c.c_uint32, (c.c_void_p,)),
    "llama_n_batch": (c.c_uint32, (c.c_void_p,)),
    "llama_n_seq_max": (c.c_uint32, (c.c_void_p,)),
    "llama_set_n_threads": (None, (c.c_void_p, c.c_int32, c.c_int32)),
    "llama_n_threads": (c.c_int32, (c.c_void_p,)),
    "llama_get_memory": (c.c_void_p, (c.c_void_p,)),
    "llama_memory_clear": (None, (c.c_void_p, c.c_bool)),
    "llama_memory_seq_rm": (c.c_bool, (c.c_void_p, c.c_int32, c.c_int32, c.c_int32)),
    "llama_batch_init": (Batch, (c.c_int32, c.c_int32, c.c_int32)),
    "llama_batch_free": (None, (Batch,)),
    "llama_decode": (c.c_int32, (c.c_void_p, Batch)),
    "llama_get_logits_ith": (c.c_void_p, (c.c_void_p, c.c_int32)),
    "llama_encode": (c.c_int32, (c.c_void_p, Batch)),
    "llama_set_embeddings": (None, (c.c_void_p, c.c_bool)),
    "llama_pooling_type": (c.c_int, (c.c_void_p,)),
    "llama_get_embeddings_ith": (c.c_void_p, (c.c_void_p, c.c_int32)),
    "llama_get_embeddings_seq": (c.c_void_p, (c.c_void_p, c.c_int32)),
    "llama_model_n_cls_out": (c.c_uint32, (c.c_void_p,)),
    "llama_vocab_n_tokens": (c.c_int32, (c.c_void_p,)),
    "llama_vocab_get_text": (c.c_char_p, (c.c_void_p, c.c_int32)),
    "llama_tokenize": (c.c_int32, (c.c_void_p, c.c_char_p, c.c_int32, INT_P, c.c_int32, c.c_bool, c.c_bool)),
    "llama_token_to_piece": (c.c_int32, (c.c_void_p, c.c_int32, c.c_char_p, c.c_int32, c.c_int32, c.c_bool)),
}


class Library:
    """The functions of ``llama.h`` as attributes (``library.llama_decode``), and llama.cpp's last words."""

    def __init__(self, handle: c.CDLL) -> None:
        self._last_lines: list[str] = []
        self._told: deque[str] = deque(maxlen=64)
        # Kept as an attribute: llama.cpp holds the pointer for as long as the process lives.
        self._log = LOG_CALLBACK(self._hear)
        self._functions: dict[str, Callable[..., Any]] = {}
        for name, (result, arguments) in SIGNATURES.items():
            function = getattr(handle, name)
            function.restype, function.argtypes = result, arguments
            self._functions[name] = function
        self.llama_log_set(self._log, None)
        self.llama_backend_init()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return self.__dict__["_functions"][name]  # type: ignore[no-any-return]

    def _hear(self, level: int, text: bytes | None, _: Any) -> None:
        # Levels of ggml.h: 2 tells what was done, 3 is a warning, 4 an error.
        if level == 2 and text:
            self._told.append(text.decode("utf-8", "replace").strip())
        if level in (3, 4) and text:
            self._last_lines = [*self._last_lines[-4:], text.decode("utf-8", "replace").strip()]

    def listen(self) -> None:
        """Hear what llama.cpp tells from now on, and forget what it told before.

        Its callback is one for the process: the server that the wheel carries takes it for itself when it starts.
        """
        self._told.clear()
        self.llama_log_set(self._log, None)

    def last_words(self) -> str:
        """The last warnings and errors of llama.cpp, for an error message."""
        return "; ".join(line for line in self._last_lines if line) or "llama.cpp gave no reason"

    def heard(self, part: str) -> str:
        """The last of what llama.cpp told with these words in it; empty when it told nothing of the kind."""
        return next((line for line in reversed(self._told) if part in line), "")


def version() -> str:
    """Name and version of the wheel.

    Raises:
        InputError: when it is not installed, with the command that adds it.
    """
    try:
        return f"xllamacpp {metadata.version('xllamacpp')}"
    except metadata.PackageNotFoundError:
        raise InputError("the GGUF runtime is not installed; add it with: pip install xllamacpp") from None


@lru_cache(maxsize=1)
def open_library() -> Library:
    """Load llama.cpp once per process and check that its layout is the one known here.

    Raises:
        InputError: when the wheel is not installed.
        FailedError: when this version lacks a function or lays its structures out differently.
    """
    wheel = version()
    spec = importlib.util.find_spec("xllamacpp")
    folder = Path(str(spec.origin)).parent if spec else Path()
    files = sorted(folder.glob("xllamacpp*.so")) + sorted(folder.glob("xllamacpp*.pyd"))
    if not files:
        raise FailedError(f"{wheel}: no compiled library in {folder}; pip install --force-reinstall xllamacpp")
    handle = c.CDLL(str(files[0]))
    missing = [name for name in SIGNATURES if not hasattr(handle, name)]
    if missing:
        raise FailedError(f"{wheel} does not export {', '.join(missing)}; use the version in constraints.txt")
    library = Library(handle)
    _check_layout(library, wheel)
    return library


def _check_layout(library: Library, wheel: str) -> None:
    params = library.llama_context_default_params()
    found = (params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max)
    if found != KNOWN_DEFAULTS:
        raise FailedError(
            f"{wheel}: llama_context_params starts with {found}, expected {KNOWN_DEFAULTS}; "
            "its layout has changed: use the version in constraints.txt"
        )
    batch = library.llama_batch_init(4, 0, 1)
    arrays = (batch.token, batch.pos, batch.n_seq_id, batch.seq_id, batch.logits)
    whole = batch.n_tokens == 0 and not batch.embd and all(arrays)
    library.llama_batch_free(batch)
    if not whole:
        raise FailedError(f"{wheel}: llama_batch is laid out differently than here; use the version in constraints.txt")
