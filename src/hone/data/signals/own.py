"""The user's own signal: a function by its dotted name, called with texts."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pyarrow as pa

from hone.data.signals.own_modules import modules_in
from hone.data.table import texts
from hone.errors import InputError, nearest
from hone.files import content_hash, file_hash

_KINDS = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
_SEQUENCES = (list, tuple, Sequence, Iterable)
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Own:
    """One column, ``own:<dotted name>``: what a function gives for each text.

    The function takes a text and gives a number, a flag or a word; or, when its parameter is annotated as a list (or
    it carries the attribute ``batched = True``), a list of texts and gives a list of as many. ``None`` says that a
    text cannot be measured. The column's type is what the function says it returns (``-> bool``); without an
    annotation numbers are float64.

    ``path`` is ``package.module:function`` or all dots; the module is looked for in ``folder`` (the task's own) first.
    Importing runs the user's code: a name is followed only because the user wrote it. Only names travel to worker
    processes. The version is a hash over the file that the function is in and every module of ``folder`` that it
    imports, directly or through others; data files that it reads, and installed packages, are not seen.

    Raises:
        InputError: a module or function that is not there.
    """

    path: str
    folder: Path | None = None
    version: str = field(init=False)

    def __post_init__(self) -> None:
        folder = None if self.folder is None else Path(self.folder).resolve()
        object.__setattr__(self, "folder", folder)
        object.__setattr__(self, "version", _source_hash(self.path, folder))
        _loaded(self.path, folder, self.version)

    @property
    def name(self) -> str:
        """``own:`` and the path."""
        return f"own:{self.path}"

    @property
    def params(self) -> Mapping[str, Any]:
        """The path."""
        return {"path": self.path}

    def columns(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Call the function.

        Raises:
            InputError: when it fails or returns what is no number, flag or word, with the first rows.
        """
        function = _loaded(self.path, self.folder, self.version)
        with _first_on_path(self.folder):  # the function may import when it is called
            values = _measured(self.path, function, texts(rows), rows.column("row").to_pylist())
        return pa.RecordBatch.from_pydict({self.name: values})


def _parts(path: str) -> tuple[str, str]:
    module, _, attribute = path.partition(":") if ":" in path else path.rpartition(".")
    if not module or not attribute:
        raise InputError(f'own: "{path}" is no name of a function; write package.module:function')
    return module, attribute


def _source_hash(path: str, folder: Path | None) -> str:
    """16 hex digits for the files that a function is made of; for its name where there is none (builtin modules)."""
    module, _ = _parts(path)
    if folder is not None and (mine := modules_in(folder, module)):
        return content_hash([[name, file_hash(file)] for name, file in mine.items()], 16)
    with _first_on_path(folder):
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError) as error:
            raise InputError(f'own: "{path}": the module {module} cannot be found ({error})') from error
    if spec is None:
        where = "" if folder is None else f" in {folder} or"
        raise InputError(f'own: "{path}": there is no module {module}{where} on the path of this Python')
    file = Path(spec.origin or "")
    return file_hash(file, 16) if file.is_file() else content_hash(path, 16)


@cache
def _loaded(path: str, folder: Path | None, source_hash: str) -> Callable[[Any], Any]:  # noqa: ARG001 - a cache key
    module_name, attribute = _parts(path)
    with _first_on_path(folder):
        _forget(module_name, folder)
        try:
            target: Any = importlib.import_module(module_name)
        except Exception as error:  # the user's module may fail in any way while it is imported
            problem = f"{type(error).__name__}: {error}"
            raise InputError(f'own: "{path}": the module {module_name} cannot be imported ({problem})') from error
    for part in attribute.split("."):
        if not hasattr(target, part):
            known = [key for key, value in vars(target).items() if callable(value) and not key.startswith("_")]
            raise InputError(f'own: "{path}": {module_name} has no "{part}"; {nearest(part, known)}')
        target = getattr(target, part)
    if not callable(target):
        raise InputError(f'own: "{path}" is a {type(target).__name__}, not a function text -> number, flag or word')
    function: Callable[[Any], Any] = target
    return function


def _forget(module_name: str, folder: Path | None) -> None:
    """Let go of modules of the task's folder that were imported before: from another task, or before an edit."""
    if folder is None:
        return
    importlib.invalidate_caches()
    for name in modules_in(folder, module_name):
        sys.modules.pop(name, None)


def _measured(path: str, function: Callable[[Any], Any], content: list[str], rows: list[str]) -> pa.Array:
    expected, batched = _promised(function)
    values = _called_with_list(path, function, content) if batched else _called(path, function, content, rows)
    kind = expected or _kind_of(values)
    problems = [
        f"own: {path} gave {value!r:.60} for row {row}; expected {_wanted(kind)}, or None where it cannot say"
        for row, value in zip(rows, values, strict=True)
        if not _fits(value, kind)
    ]
    if problems:
        more = [f"own: {path}: {len(problems) - _NAMED:,} more rows like these"] if len(problems) > _NAMED else []
        raise InputError(problems[:_NAMED] + more)
    if kind is None:
        return pa.nulls(len(values))
    return pa.array([None if value is None else kind(value) for value in values], _KINDS[kind])


def _called(path: str, function: Callable[[Any], Any], content: list[str], rows: list[str]) -> list[Any]:
    values = []
    for row, text in zip(rows, content, strict=True):
        try:
            values.append(function(text))
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            raise InputError(f"own: {path} failed on row {row} ({len(text):,} characters): {problem}") from error
    return values


def _called_with_list(path: str, function: Callable[[Any], Any], content: list[str]) -> list[Any]:
    try:
        values = list(function(content))
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        raise InputError(f"own: {path} failed on a list of {len(content):,} texts: {problem}") from error
    if len(values) != len(content):
        raise InputError(f"own: {path} gave {len(values):,} values for {len(content):,} texts; expected one each")
    return values


def _promised(function: Callable[[Any], Any]) -> tuple[type | None, bool]:
    """The type that a function says it returns (None when it does not say), and whether it takes a list."""
    called = function if inspect.isroutine(function) or inspect.isclass(function) else type(function).__call__
    try:
        hints = get_type_hints(called)
    except Exception:  # annotations may name what is not there at run time; then nothing was promised
        hints = {}
    returned = hints.pop("return", None)
    first = next(iter(hints.values()), str)
    batched = bool(getattr(function, "batched", get_origin(first) in _SEQUENCES or first in _SEQUENCES))
    if batched and get_args(returned):
        returned = get_args(returned)[0]
    options = [option for option in (get_args(returned) or (returned,)) if option is not type(None)]
    return (options[0] if len(options) == 1 and options[0] in _KINDS else None), batched


def _kind_of(values: Iterable[Any]) -> type | None:
    first = next((value for value in values if value is not None), None)
    if first is None:
        return None
    if isinstance(first, str):
        return str
    return bool if _is_flag(first) else float


def _fits(value: Any, kind: type | None) -> bool:
    if value is None or kind is None:
        return True
    if kind is str or kind is bool:
        return isinstance(value, str) if kind is str else _is_flag(value)
    number = hasattr(value, "__float__") and not isinstance(value, str) and not _is_flag(value)
    return number and math.isfinite(value) and (kind is float or float(value).is_integer())


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool) or type(value).__name__ in {"bool", "bool_"}  # numpy's, without importing it


def _wanted(kind: type | None) -> str:
    return {bool: "True or False", int: "a whole number", float: "a finite number", str: "a word"}.get(
        kind or float, "a number, a flag or a word"
    )


@contextmanager
def _first_on_path(folder: Path | None) -> Iterator[None]:
    if folder is None:
        yield
        return
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
