"""The runtime ``onnx``: artifacts for ONNX Runtime, ONNX Runtime GenAI and ONNX Runtime Web."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hone.deploy.onnx.opening import MODEL_FILE, runtime_library
from hone.deploy.runtime import EncoderSession, Session
from hone.deploy.weights import Prepared


class OnnxRuntime:
    """The runtime of ONNX files on the CPU. An artifact is a folder with ``model.onnx``; either may be given."""

    name = "onnx"
    suffix = ".onnx"

    def export(self, model: Path, weights: str, out: Path, prepared: Prepared | None = None) -> Path:
        """See :func:`hone.deploy.onnx.writing.export`; ``out`` is a folder."""
        from hone.deploy.onnx.writing import export

        return export(model, weights, out, prepared)

    def refusals(
        self,
        config: Mapping[str, Any],
        shapes: Mapping[str, Sequence[int]],
        weights: str,
        folder: Path | None = None,
    ) -> list[str]:
        """See :func:`hone.deploy.onnx.writing.refusals`."""
        from hone.deploy.onnx.writing import refusals

        return refusals(config, shapes, weights, folder)

    def open(self, path: Path, threads: int, context: int, parallel: int = 1) -> Session:
        """See :class:`hone.deploy.onnx.session.OnnxSession`."""
        from hone.deploy.onnx.session import OnnxSession

        return OnnxSession(_file(path), threads=threads, context=context, parallel=parallel)

    def open_encoder(self, path: Path, threads: int, context: int) -> EncoderSession:
        """See :class:`hone.deploy.onnx.encoder_session.OnnxEncoderSession`."""
        from hone.deploy.onnx.encoder_session import OnnxEncoderSession

        return OnnxEncoderSession(_file(path), threads=threads, context=context)

    def ready(self) -> None:
        """Import ONNX Runtime."""
        runtime_library()

    def version(self) -> str:
        """Versions of the runtime and of the package that wrote the file."""
        from importlib.metadata import version as installed

        return f"onnxruntime {installed('onnxruntime')}, onnx {installed('onnx')}"

    def own_timings(
        self, path: Path, threads: int, context: int, prompt: Sequence[int], new_tokens: int
    ) -> dict[str, Any]:
        """See :func:`hone.deploy.onnx.genai_timing.own_timings`."""
        from hone.deploy.onnx.genai_timing import own_timings

        return own_timings(_file(path), threads=threads, context=context, prompt=prompt, new_tokens=new_tokens)


def _file(path: Path) -> Path:
    return path / MODEL_FILE if path.is_dir() else path
