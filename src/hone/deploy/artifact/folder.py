"""An artifact on disk: a folder of one model file and what is said of it, or a model file alone.

``hone.json`` holds the SHA-256 of the model file and of every other file that an application reads; it is compared
before a runtime sees the file, so that a flipped byte is a sentence and not a wrong answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hone.errors import FailedError, InputError
from hone.files import file_hash, read_json
from hone.lab.artifacts import CARD, CERTIFICATE, PAGE, SAID_OF_IT, certificate_of

__all__ = [
    "CARD",
    "CERTIFICATE",
    "HONE_FILE",
    "PAGE",
    "artifact_folder",
    "check_hash",
    "check_whole",
    "describe",
    "holds_encoder",
    "is_artifact",
    "model_file",
    "name_of",
    "not_certified",
    "predicts_words",
    "whole_model_file",
]

FORMAT = 1
TOKENIZER = "tokenizer.json"
MODEL_FILES = ("model.gguf", "model.onnx")
HONE_FILE = "hone.json"
UNHASHED = (HONE_FILE, *SAID_OF_IT)
"""Files whose hashes ``hone.json`` does not hold."""


def is_artifact(path: Path) -> bool:
    """Whether a path is the folder of an artifact."""
    return any((path / name).is_file() for name in MODEL_FILES)


def artifact_folder(path: Path) -> Path | None:
    """The folder of an artifact, given it or its model file; None for a model file that stands alone."""
    if is_artifact(path):
        return path
    return path.parent if path.name in MODEL_FILES and (path.parent / HONE_FILE).is_file() else None


def name_of(path: Path) -> str:
    """What an artifact is called: its folder's name, or that of a model file that stands alone."""
    folder = artifact_folder(path)
    return path.stem if folder is None else folder.resolve().name


def model_file(path: Path) -> Path:
    """The model file of an artifact, given its folder or the file itself.

    Raises:
        InputError: when there is no such file, or the folder holds none.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(f"{path}: there is no such artifact; hone.export(folder) makes one, and so does hone solve")
    found = [path / name for name in MODEL_FILES if (path / name).is_file()]
    if len(found) != 1:
        there = " and ".join(one.name for one in found) or "neither"
        raise InputError(f"{path} is no artifact: its folder holds one of {', '.join(MODEL_FILES)}; found {there}")
    return found[0]


def describe(path: Path) -> dict[str, Any] | None:
    """What ``hone.json`` of an artifact says; None for a model file that stands alone.

    Raises:
        InputError: when it is of a newer format.
        FailedError: when it is missing from an artifact's folder, or is not whole.
    """
    folder = artifact_folder(path)
    if folder is None:
        return None
    if not (folder / HONE_FILE).is_file():
        raise FailedError(f"{folder} has no {HONE_FILE}, which says what the model is; copy the whole folder again")
    found: dict[str, Any] = read_json(folder / HONE_FILE)
    if found.get("format") != FORMAT:
        raise InputError(f"{folder / HONE_FILE} has format {found.get('format')}; this version reads {FORMAT}")
    return found


def holds_encoder(said: Mapping[str, Any] | None) -> bool:
    """Whether what ``hone.json`` says is of an encoder, whose rows stand between its own tokenizer's marks."""
    return "marks" in ((said or {}).get("renderer") or {})


def predicts_words(said: Mapping[str, Any] | None) -> bool:
    """Whether what ``hone.json`` says is of an encoder of masked words, which answers no prompt."""
    return holds_encoder(said) and (said or {}).get("kind") == "language-model"


def whole_model_file(path: Path) -> Path:
    """The model file of an artifact whose bytes are those that were certified: what every opening begins with.

    So are those of its tokenizer, which runtimes read beside it. A model file that stands alone has nothing to be
    compared with.

    Raises:
        InputError: when there is none. FailedError: when either has changed.
    """
    file = model_file(path)
    said = describe(path)
    if said is not None:
        expected = {file.name: said["hashes"]["model"]}
        if TOKENIZER in (files := said.get("files", {})):
            expected[TOKENIZER] = files[TOKENIZER]
        _check_hashes(file.parent, expected)
    return file


def check_whole(path: Path) -> None:
    """Compare every file of an artifact's folder with the hash that was kept of it.

    Raises:
        FailedError: naming all files that are missing or have changed.
    """
    folder = artifact_folder(path)
    if folder is not None:
        _check_hashes(folder, (describe(path) or {}).get("files", {}))


def _check_hashes(folder: Path, hashes: Mapping[str, str]) -> None:
    problems = []
    for name, expected in hashes.items():
        try:
            check_hash(folder / name, expected)
        except FailedError as error:
            problems.append(str(error))
    if problems:
        raise FailedError("; ".join(problems))


def not_certified(path: Path) -> str:
    """A sentence where an artifact's certificate does not say ``certified``, or there is none; else empty."""
    beside = certificate_of(artifact_folder(path) or path)
    if not beside.is_file():
        return f"{name_of(path)} has no certificate: nothing says that it answers as its original does"
    found = read_json(beside)
    if found.get("status") == "certified":
        return ""
    why = next(iter(found.get("failures") or ["nothing was compared with its original"]))
    return f"{name_of(path)} is {found.get('status')}, not certified: {why}"


def check_hash(file: Path, expected: str) -> None:
    """Compare a file's SHA-256 with what was written down when it was made.

    Raises:
        FailedError: when it is another, or there is no such file.
    """
    if not file.is_file():
        raise FailedError(f"{file} is missing; copy the whole folder of the artifact again")
    found = file_hash(file)
    if found != expected:
        raise FailedError(
            f"{file} has SHA-256 {found[:12]}, and {expected[:12]} was certified: it has changed or was not copied "
            "whole; copy it again, or export it again"
        )
