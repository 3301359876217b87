"""What a person's words mean on disk: a task folder, its artifact, a run's model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hone.errors import FailedError, InputError, nearest
from hone.files import read_json

TASK_FILE = "hone.yaml"
HELP_FOLDER = "the task folder (default: this one)"
_START = "make one with: hone init FOLDER --data FILE --kind KIND, or hone init voice --example voice"


def is_task_folder(path: Path) -> bool:
    """Whether a path is a folder that holds a ``hone.yaml``."""
    return (path / TASK_FILE).is_file()


def task_folder(text: str | Path) -> Path:
    """The task folder that a word names.

    Raises:
        InputError: when there is none, with the nearest folder that is one.
    """
    path = Path(text).expanduser()
    if is_task_folder(path):
        return path
    if path.is_dir():
        inside = _task_folders(path)
        there = f"task folders in it: {', '.join(inside)}" if inside else _START
        raise InputError(f"{_named(path)} holds no {TASK_FILE}, so it is no task folder; {there}")
    if path.exists():
        raise InputError(f"{path} is a file; a task folder is asked for (the folder that holds {TASK_FILE})")
    raise InputError(no_folder(path))


def no_folder(path: Path) -> str:
    """The sentence on a folder that is not there: the nearest task folder, or how to make one."""
    known = _task_folders(path.parent)
    return f"there is no folder {path}; {nearest(path.name, known) if known else _START}"


def check_there(words: Sequence[str]) -> None:
    """Refuse words that stand for a task folder or for files and name nothing on this machine.

    Patterns, addresses, hub ids, queries and parts of files are left to the readers, which say what they miss.

    Raises:
        InputError: with every such word, what was expected, and the nearest name.
    """
    problems = [_not_there(Path(word).expanduser()) for word in words if _is_plain(word)]
    if any(problems):
        raise InputError([problem for problem in problems if problem])


def _is_plain(word: str) -> bool:
    """Whether a word can mean a path alone."""
    from hone.data.readers.contents import plain_suffix
    from hone.data.readers.finding import KNOWN
    from hone.data.readers.hub import is_hub_id

    return not re.search(r"[*?\[:]", word) and not (is_hub_id(word) and plain_suffix(word) not in KNOWN)


def _not_there(path: Path) -> str:
    """A sentence, or nothing where the path is there."""
    from hone.data.readers.contents import plain_suffix
    from hone.data.readers.finding import KNOWN

    if path.exists():
        return ""
    is_file = plain_suffix(path.name) in KNOWN
    what = "file" if is_file else "folder"
    wanted = "expected a file of rows" if is_file else f"expected a task folder (with a {TASK_FILE}), or files of rows"
    if not path.parent.is_dir():
        return f"there is no {what} {path}, and no folder {path.parent}; {wanted}"
    beside = [one.name for one in path.parent.iterdir() if not one.name.startswith(".")]
    known = [name for name in beside if plain_suffix(name) in KNOWN or (path.parent / name).is_dir()]
    hint = nearest(path.name, known) if known else f"{_named(path.parent)} holds neither"
    return f"there is no {what} {path}; {wanted}; {hint}"


def artifact_of(folder: Path) -> Path | None:
    """The artifact of a task folder; None without.

    The one of the last verdict comes first, then the last that was recorded; but a certified one before all others.
    """
    result = folder / "result.json"
    named = read_json(result).get("artifact") if result.is_file() else None
    from hone.lab.lab import Lab

    recorded = [folder / item.path for item in reversed(Lab(folder, say=lambda line: None).artifacts())]
    there = [path for path in [*([folder / str(named)] if named else []), *recorded] if _can_be_asked(path)]
    return next(filter(_is_certified, there), next(iter(there), None))


def _is_certified(path: Path) -> bool:
    from hone.deploy.artifact.folder import not_certified

    try:
        return not not_certified(path)
    except FailedError:  # a certificate that is not whole, which is said when the artifact is used
        return False


def artifact_at(text: str) -> Path:
    """The artifact that a word names: its folder or model file, or a task folder that has one.

    Raises:
        InputError: when there is none yet, with how to make one.
    """
    path = Path(text).expanduser()
    if _can_be_asked(path) and path.name != TASK_FILE:
        return path
    if _looks_like_artifact(path):
        raise InputError(_missing_artifact(path))
    folder = task_folder(path.parent if path.name == TASK_FILE else path)
    found = artifact_of(folder)
    if found is None:
        raise InputError(f"{_named(folder)} has no artifact yet; make one with: hone solve {folder}, or hone export")
    return found


def model_at(text: str, run: str | None = None) -> Path:
    """The artifact or model folder that a word names: either, a model file, a run's folder, a task folder, a RUN.

    A task folder means its artifact, or the model of its best run where nothing is exported yet; with ``run`` that
    run's model. A RUN (number, name, ``best``) is looked up in the task folder that one is in.

    Raises:
        InputError: when it is none of these, or has no model yet.
    """
    path = Path(text).expanduser()
    if run is not None:
        return run_model(task_folder(path), run)
    if (path / "hone.json").is_file():
        return path
    if (path / "run.json").is_file():
        return run_model(path.parent.parent, path.name)
    if path.is_file() or _looks_like_artifact(path) or not _is_run_of(Path(), text):
        if path.is_file() or _looks_like_artifact(path):
            return artifact_at(text)
        folder = task_folder(path)
        return artifact_of(folder) or run_model(folder, "best")
    return run_model(Path(), text)


def means_a_model(text: str) -> bool:
    """Whether a word names something that can be asked (and is not simply a text to ask)."""
    path = Path(text).expanduser()
    try:
        there = path.exists()
    except OSError:  # a text can be longer than a file's name may be
        return False
    return there or _looks_like_artifact(path) or _is_run_of(Path(), text)


def names_here() -> list[str]:
    """What a person may have meant by a word: task folders and artifacts in the current folder, and its runs."""
    from hone.lab.lab import Lab

    there = [path for path in Path().iterdir() if is_task_folder(path) or _can_be_asked(path)]
    runs = Lab(Path(), say=lambda line: None).runs() if Path("runs").is_dir() else []
    return [*(path.name for path in there if not path.name.startswith(".")), *(run.folder.name for run in runs)]


def run_model(folder: Path, run: str) -> Path:
    """The model folder of a run.

    Raises:
        InputError: when there is no such run, or no model in it yet.
    """
    from hone.lab.lab import Lab

    lab = Lab(folder, say=lambda line: None)
    if run == "best" and not lab.runs():
        raise InputError(f"{_named(folder)} has no model yet; make one with: hone solve {folder}")
    found = lab.run(run)
    if not found.model.is_dir():
        raise InputError(
            f"run {found.folder.name} is {found.status} at step {found.last_step():,} and has no model yet; "
            f"go on with: hone solve {folder}"
        )
    return found.model


def _is_run_of(folder: Path, text: str) -> bool:
    if is_task_folder(Path(text)) or not (folder / "runs").is_dir():
        return False
    from hone.lab.lab import Lab

    runs = Lab(folder, say=lambda line: None).runs()
    names = {name for run in runs for name in (run.name, run.folder.name)}
    return text == "best" or text in names or (text.isdigit() and any(run.number == int(text) for run in runs))


def _can_be_asked(path: Path) -> bool:
    """Whether a path is a model file, or the folder of an artifact."""
    from hone.deploy.artifact.folder import is_artifact

    return path.is_file() or is_artifact(path)


def _looks_like_artifact(path: Path) -> bool:
    return path.suffix in (".gguf", ".onnx") or path.parent.name == "artifacts"


def _missing_artifact(path: Path) -> str:
    from hone.deploy.artifact.folder import is_artifact

    beside = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    there = [other.name for other in beside if other.suffix in (".gguf", ".onnx") or is_artifact(other)]
    hint = nearest(path.name, there) if there else "hone solve makes one, and so does hone export"
    return f"{path}: there is no such artifact; {hint}"


def _task_folders(parent: Path) -> Sequence[str]:
    if not parent.is_dir():
        return []
    return sorted(child.name for child in parent.iterdir() if child.is_dir() and is_task_folder(child))


def _named(path: Path) -> str:
    return f"this folder ({path.resolve()})" if path == Path() else str(path)
