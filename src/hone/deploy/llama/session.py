"""GGUF artifacts of decoders run by llama.cpp in this process, driven by token ids.

A session holds one context with ``parallel`` sequences; what it makes of their passes is :mod:`hone.deploy.passes`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hone.deploy.llama.batch import TokenBatch
from hone.deploy.llama.model import LoadedModel
from hone.deploy.passes import Pass, PassSession
from hone.task.soft_prompt import soft_prompt_of

BATCH_TOKENS = 2048
COMPUTE_TOKENS = 512


class LlamaCppSession(LoadedModel, PassSession):
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
        self._load(path, threads, context)
        self.parallel = parallel
        params = self._library.llama_context_default_params()
        params.n_ctx, params.n_seq_max = context * parallel, parallel
        params.n_batch, params.n_ubatch = BATCH_TOKENS, COMPUTE_TOKENS
        self._begin(path, params, cached=True)
        self._memory = self._library.llama_get_memory(self._context)
        soft = soft_prompt_of(json.loads(self.metadata("hone.renderer") or "{}"))
        self._batch = TokenBatch(self._library, self._context, self.vocab_size, BATCH_TOKENS, masked=soft)

    # Passes, for what PassSession makes of them.

    @property
    def _is_open(self) -> bool:
        return bool(self._context)

    def _compute(self, passes: Sequence[Pass]) -> list[NDArray[np.float32]]:
        return self._batch.run(passes)

    def _compute_one(self, token: int, position: int) -> NDArray[np.float32]:
        return self._batch.run_one(token, position)

    def _clear(self) -> None:
        self._library.llama_memory_clear(self._memory, False)

    def _forget(self, sequence: int) -> None:
        self._library.llama_memory_seq_rm(self._memory, sequence, -1, -1)
