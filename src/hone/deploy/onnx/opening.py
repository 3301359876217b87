"""An ONNX Runtime session with exactly the threads asked for, and what the file itself says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hone.errors import FailedError, InputError

MODEL_FILE = "model.onnx"
_ERRORS_ONLY = 3
SPIN_US = 50
"""Microseconds that threads spin while they wait for each other, then they sleep: without a limit they take the cores
from everybody else, and a token is not worth that."""


def runtime_library() -> Any:
    """The ``onnxruntime`` module, with its telemetry off.

    Its wheels for Linux make an identifier of the device when they are imported and keep events in the user's cache
    folder to be sent (seen in 1.32, and in onnxruntime-genai 0.18). The variable stops all of it, in both, and only
    where it is set before the import; a value in the user's environment is kept.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def open_runtime(path: Path, threads: int) -> Any:
    """An ``onnxruntime.InferenceSession`` over a file, on the CPU.

    Raises:
        InputError: when there is no such file.
        FailedError: when ONNX Runtime refuses it, with its own words.
    """
    onnxruntime = runtime_library()
    if not path.is_file():
        raise InputError(f"{path}: there is no such artifact")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(SPIN_US))
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base
        raise FailedError(f"{path}: ONNX Runtime cannot load it: {str(error).splitlines()[0]}") from error
    arrived = session.get_session_options().intra_op_num_threads
    if arrived != threads:
        raise FailedError(f"{path}: ONNX Runtime took {arrived} threads instead of {threads}")
    return session


def metadata_of(session: Any) -> dict[str, str]:
    """The texts stored in the file."""
    return dict(session.get_modelmeta().custom_metadata_map)


def built_for(path: Path, metadata: dict[str, str], context: int) -> int:
    """Positions that the model was built for, checked against a wished context.

    Raises:
        InputError: when the context is longer, or the file was not written by hone.
    """
    stated = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    if stated is None:
        raise InputError(f"{path} does not say its context; ONNX files that hone wrote are opened")
    if context > int(stated):
        raise InputError(f"{path}: context {context} is over the {stated} tokens that the model was built for")
    return int(stated)
