"""The versions behind a certificate: of what made the artifact, what ran it and what it was compared with."""

from __future__ import annotations

import platform
from importlib import metadata

PACKAGES = (
    "hone-lm",
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "gguf",
    "xllamacpp",
    "onnx",
    "onnxruntime",
    "onnxruntime-genai",
)


def versions() -> dict[str, str]:
    """Name to version of Python and of the packages that have a part in it and are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
