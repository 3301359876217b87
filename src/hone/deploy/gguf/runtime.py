"""The runtime ``gguf``: artifacts for llama.cpp, run through the ``xllamacpp`` wheel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hone.deploy.llama.library import open_library, version
from hone.deploy.llama.session import LlamaCppSession
from hone.deploy.runtime import EncoderSession, Session
from hone.deploy.weights import Prepared


class LlamaCpp:
    """The runtime of GGUF files: llama.cpp through the ``xllamacpp`` wheel."""

    name = "gguf"
    suffix = ".gguf"

    def refusals(
        self,
        config: Mapping[str, Any],
        shapes: Mapping[str, Sequence[int]],
        weights: str,
        folder: Path | None = None,
    ) -> list[str]:
        """See :func:`hone.deploy.gguf.writing.refusals`."""
        from hone.deploy.gguf.writing import refusals

        return refusals(config, shapes, weights, folder)

    def export(self, model: Path, weights: str, out: Path, prepared: Prepared | None = None) -> Path:
        """See :func:`hone.deploy.gguf.writing.export`."""
        from hone.deploy.gguf.writing import export

        return export(model, weights, out, prepared)

    def open(self, path: Path, threads: int, context: int, parallel: int = 1) -> Session:
        """See :class:`LlamaCppSession`."""
        return LlamaCppSession(path, threads=threads, context=context, parallel=parallel)

    def open_encoder(self, path: Path, threads: int, context: int) -> EncoderSession:
        """See :class:`hone.deploy.llama.encoder.LlamaCppEncoder`."""
        from hone.deploy.llama.encoder import LlamaCppEncoder

        return LlamaCppEncoder(path, threads=threads, context=context)

    def ready(self) -> None:
        """Load llama.cpp."""
        open_library()

    def version(self) -> str:
        """Versions of the wheel and of the writer."""
        from importlib.metadata import version as installed

        return f"{version()}, gguf {installed('gguf')}"

    def own_timings(
        self, path: Path, threads: int, context: int, prompt: Sequence[int], new_tokens: int
    ) -> dict[str, Any]:
        """See :func:`hone.deploy.llama.server.own_timings`."""
        from hone.deploy.llama.server import own_timings

        return own_timings(path, threads=threads, context=context, prompt=prompt, new_tokens=new_tokens)
