"""Which files of a task folder a user's function is made of: its module, and all that this one imports from there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def modules_in(folder: Path, module: str) -> dict[str, Path]:
    """Modules of a folder that a module needs, itself included, by their names in the order of the names.

    Imports are read, not carried out: those inside functions are found too, those by a computed name are not. The
    packages around a module belong to it. Empty when the module is not in the folder.
    """
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or (file := _file(folder, name)) is None:
            continue
        found[name] = file
        waiting += [name.rpartition(".")[0]] if "." in name else []
        waiting += _imported(file, name)
    return dict(sorted(found.items()))


def _file(folder: Path, module: str) -> Path | None:
    if not all(part.isidentifier() for part in module.split(".")):
        return None
    place = folder.joinpath(*module.split("."))
    # A package goes before a module of its name, as Python has it.
    return next((file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()), None)


def _imported(file: Path, module: str) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # importing it will say so, with the line
        return
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            around = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*filter(None, around), *filter(None, [node.module])])
            yield source
            yield from (f"{source}.{alias.name}".removeprefix(".") for alias in node.names)
