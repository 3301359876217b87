"""What every runtime gives: export a model folder, open the artifact, ask it for tokens and probabilities.

A :class:`Session` satisfies the ``Generate`` and ``LabelLogprobs`` shapes of :mod:`hone.evaluate.generate`,
so that an artifact is scored by the same code as a torch module. Nothing here imports torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hone.deploy.artifact.folder import model_file
from hone.deploy.weights import Prepared
from hone.errors import InputError, nearest
from hone.evaluate.generate import GREEDY, Generation, Sampling
from hone.files import read_json
from hone.task.spec import WRITTEN, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Timings:
    """What a session has computed so far, by its own clock around the runtime's calls."""

    prompt_tokens: int = 0
    """Tokens read in passes of more than one token per sequence."""
    prompt_ms: float = 0.0
    """Time in these passes."""
    generated_tokens: int = 0
    """Tokens computed one at a time per sequence."""
    generated_ms: float = 0.0
    """Time in these passes."""

    def to_json(self) -> dict[str, float]:
        """The same as plain values."""
        return asdict(self)


class Contents(Protocol):
    """What an opened artifact says without computing."""

    @property
    def vocab_size(self) -> int:
        """Number of ids, and the length of each row of log-probabilities."""
        ...

    def metadata(self, key: str) -> str:
        """A text stored in the artifact; empty when there is none under that key."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text by the runtime's own tokenizer; never a special id."""
        ...

    def detokenize(self, ids: Sequence[int]) -> str:
        """Text of ids by the runtime's own tokenizer, special ids left out."""
        ...

    def token_id(self, text: str) -> int:
        """Id of the token that is written exactly like this, such as ``<|end|>``; -1 when there is none."""
        ...


class Session(Contents, Protocol):
    """An opened artifact. Not safe for several threads at once: guard it with a lock."""

    @property
    def context(self) -> int:
        """Longest prompt and answer together, in tokens."""
        ...

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        end_id: int,
        sampling: Sampling = GREEDY,
    ) -> list[Generation]:
        """Continue each prompt up to ``end_id`` (not part of the ids) or ``max_new_tokens``."""
        ...

    def stream(
        self, prompt: Sequence[int], *, max_new_tokens: int, end_id: int, sampling: Sampling = GREEDY
    ) -> Iterator[int]:
        """The ids of one continuation as they come, without ``end_id``."""
        ...

    def label_logprobs(self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]) -> NDArray[np.float32]:
        """(n, num_labels) natural-log probabilities of the labels after each prompt."""
        ...

    def next_logprobs(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """(vocab,) natural-log probabilities of the token after ``ids``."""
        ...

    def logprobs(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """For each sequence (len, vocab): row t holds the log-probabilities of the token after ``ids[: t + 1]``."""
        ...

    def token_logprobs(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """For each sequence of T ids the T - 1 natural-log probabilities of ids 1 to T - 1, all positions."""
        ...

    def timings(self) -> Timings:
        """What was computed since the session was opened."""
        ...

    def close(self) -> None:
        """Free the runtime's memory; the session cannot be used afterwards."""
        ...


class EncoderSession(Contents, Protocol):
    """An opened artifact of an encoder. Sequences are whole inputs, special ids included, of 1 to ``context`` ids."""

    @property
    def context(self) -> int:
        """Longest sequence, in tokens."""
        ...

    def encode_with_places(self, text: str) -> tuple[list[int], list[tuple[int, int]], list[int]]:
        """Ids of plain text, the characters that each came from, and the word that each belongs to."""
        ...

    def classify(self, sequences: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(n, num_labels) logits of whole sequences; an InputError where the model has no such head."""
        ...

    def tag(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """For each sequence (len, num_labels) logits; an InputError where the model has no such head."""
        ...

    def embed(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """For each sequence (len, width): the last hidden states; an InputError where the file does not give them."""
        ...

    def vectors(self, sequences: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(n, width): one vector for each whole sequence; an InputError where the model was exported without."""
        ...

    def timings(self) -> Timings:
        """What was computed since the session was opened; all of it counts as prompt."""
        ...

    def close(self) -> None:
        """Free the runtime's memory; the session cannot be used afterwards."""
        ...


class Runtime(Protocol):
    """One way of running a model on a device."""

    name: str
    suffix: str

    def refusals(
        self,
        config: Mapping[str, Any],
        shapes: Mapping[str, Sequence[int]],
        weights: str,
        folder: Path | None = None,
    ) -> list[str]:
        """Sentences on why a model cannot be stored so; empty when it can. No weights are read.

        Args:
            config: its ``config.json``.
            shapes: of its tensors, by the names of the model folder.
            weights: a format of this runtime.
            folder: the model folder, where there is one: then its tokenizer is judged too.
        """
        ...

    def export(self, model: Path, weights: str, out: Path, prepared: Prepared | None = None) -> Path:
        """Write the model folder ``model`` as an artifact with weights of this format; whole or not at all."""
        ...

    def open(self, path: Path, threads: int, context: int, parallel: int = 1) -> Session:
        """Open an artifact for ``parallel`` sequences of up to ``context`` tokens at once."""
        ...

    def open_encoder(self, path: Path, threads: int, context: int) -> EncoderSession:
        """Open an artifact of an encoder for sequences of up to ``context`` tokens."""
        ...

    def ready(self) -> None:
        """Load the runtime's library and open nothing: what it takes of memory is told apart from the model's."""
        ...

    def version(self) -> str:
        """Name and version of the runtime and of what wrote the artifact, for the certificate."""
        ...

    def own_timings(
        self, path: Path, threads: int, context: int, prompt: Sequence[int], new_tokens: int
    ) -> dict[str, Any]:
        """``first_token_ms`` and ``ms_per_token`` as the runtime itself reports them."""
        ...


def check_can_be_exported(task: Task) -> None:
    """Check that a solve of a task can end in an artifact: said at the start, and not after training.

    Raises:
        InputError: for encoders that no GGUF file holds: masked words, and shapes and tokenizers that are not written.
    """
    from hone.model.base import needs_encoder
    from hone.model.presets import SCRATCH

    if not needs_encoder(task):
        return
    if task.kind in WRITTEN:
        raise InputError(
            f"base {task.base} is an encoder, and a task of kind {task.kind} needs a model that writes; take a decoder"
        )
    if task.kind == "language-model":
        raise InputError(
            f"base {task.base} predicts masked words, which llama.cpp has no head for, and `hone solve` and `hone "
            "smoke` end in a GGUF file; `hone train` trains and judges one, and `hone export --to onnx` takes it"
        )
    if task.base.partition(":")[0] != SCRATCH and (problems := _base_problems(task.base)):
        raise InputError(
            f"base {task.base}: {problem}; `hone train` trains, judges and keeps such a model" for problem in problems
        )


def _base_problems(reference: str) -> list[str]:
    """Why no encoder that starts from a base will be a GGUF file, whatever head it is trained with."""
    from hone.deploy.encoders import trunk_problems
    from hone.deploy.gguf.tokenizer import gguf_tokenizer
    from hone.model.base import base_folder

    folder = base_folder(reference)
    config = read_json(folder / "config.json")
    try:
        gguf_tokenizer(folder, int(config["vocab_size"]))
    except InputError as error:
        return [*trunk_problems(config, "GGUF"), *error.problems]
    return trunk_problems(config, "GGUF")


RUNTIMES = {
    "gguf": ("hone.deploy.gguf.runtime", "LlamaCpp"),
    "onnx": ("hone.deploy.onnx.runtime", "OnnxRuntime"),
}
"""Module and class of each runtime. A new one is a folder in this room and an entry here."""


def runtimes() -> dict[str, Runtime]:
    """The table of runtimes by name."""
    return {name: runtime(name) for name in RUNTIMES}


def runtime(name: str) -> Runtime:
    """One runtime by its name; no other one's module is imported.

    Raises:
        InputError: for an unknown name, with the nearest known one.
    """
    if name not in RUNTIMES:
        raise InputError(f'runtime "{name}" is not known; {nearest(name, sorted(RUNTIMES))}')
    module, made_by = RUNTIMES[name]
    found: Runtime = getattr(importlib.import_module(module), made_by)()
    return found


def runtime_of(path: Path) -> Runtime:
    """The runtime that opens an artifact, given its folder or its model file, whose suffix decides.

    Raises:
        InputError: when there is no artifact, or no runtime opens such files.
    """
    file = model_file(path)
    for candidate in runtimes().values():
        if file.suffix == candidate.suffix:
            return candidate
    known = ", ".join(sorted(candidate.suffix for candidate in runtimes().values()))
    raise InputError(f'{file}: no runtime opens files that end in "{file.suffix}"; known: {known}')
