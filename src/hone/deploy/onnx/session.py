"""ONNX decoders run by ONNX Runtime in this process, driven by token ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.onnx.decoding import Decoding
from hone.deploy.onnx.opening import built_for, metadata_of, open_runtime
from hone.deploy.onnx.text import Texts
from hone.deploy.passes import Pass, PassSession
from hone.errors import InputError


class OnnxSession(Texts, PassSession):
    """An opened ONNX decoder, see :class:`hone.deploy.runtime.Session`.

    Args:
        path: ``model.onnx``; ``tokenizer.json`` lies beside it.
        threads: CPU threads for every pass.
        context: longest prompt and answer together, in tokens; at most what the model was built for.
        parallel: sequences computed at once (each costs its own key-value cache).

    Raises:
        InputError: when the file is missing, holds no decoder, or ``context`` is longer than the model's.
        FailedError: when ONNX Runtime refuses the file, with its own words.
    """

    def __init__(self, path: Path, *, threads: int, context: int, parallel: int = 1) -> None:
        super().__init__()
        self._session: Any = open_runtime(path, threads)
        self._path, self._metadata = path, metadata_of(self._session)
        built_for(path, self._metadata, context)
        outputs = {one.name: one for one in self._session.get_outputs()}
        if "present.0.key" not in outputs:
            raise InputError(f"{path} holds no decoder; open it as an encoder")
        self.context, self.threads, self.parallel = context, threads, parallel
        self.vocab_size = int(outputs["logits"].shape[-1])
        self._decoding: Decoding | None = Decoding(self._session, self.vocab_size, parallel, context)

    @property
    def _is_open(self) -> bool:
        return self._decoding is not None

    def _compute(self, passes: Sequence[Pass]) -> list[NDArray[np.float32]]:
        assert self._decoding is not None
        return self._decoding.run(passes)

    def _compute_one(self, token: int, position: int) -> NDArray[np.float32]:
        assert self._decoding is not None
        return self._decoding.next(token, position)

    def _clear(self) -> None:
        assert self._decoding is not None
        self._decoding.slots.clear()

    def _forget(self, sequence: int) -> None:
        assert self._decoding is not None
        self._decoding.slots.forget(sequence)

    def close(self) -> None:
        """Free the model and the cache."""
        self._session = self._decoding = None
