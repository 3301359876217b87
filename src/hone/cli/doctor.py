"""``hone doctor``: what this machine and installation can do, what is missing, and the one command that adds it."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

DISTRIBUTION = "hone-lm"
LEAST_FREE_BYTES = 2 * 2**30
_FOR = {
    "datasets": "data from the Hugging Face hub",
    "mlflow": "mirror of runs in MLflow",
    "tensorboard": "mirror of runs in TensorBoard",
    "wandb": "mirror of runs in W&B, offline",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help="where runs would be kept (default .)")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; 3 when something that every solve needs is missing, else 0."""
    found = examine(Path(args.folder))
    for line in lines(found):
        if not args.quiet or line.startswith("missing"):
            print(line)
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
    return 3 if found["missing"] else 0


def examine(folder: Path) -> dict[str, Any]:
    """Machine, versions, extras, disk and device as plain values."""
    from hone import __version__
    from hone.errors import InputError
    from hone.hardware import machine

    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    core, extras = _requirements()
    versions = {name: _version(name) for name in core}
    missing = [name for name, version in versions.items() if version is None]
    free = shutil.disk_usage(folder).free
    return {
        "hone": __version__,
        "python": sys.executable,
        "machine": machine().to_json(),
        "device": None if "torch" in missing else _device(),
        "disk_free_bytes": free,
        "disk_is_enough": free >= LEAST_FREE_BYTES,
        "versions": versions,
        "missing": missing,
        "extras": {name: _version(name) for name in extras},
    }


def lines(found: dict[str, Any]) -> list[str]:
    """The same for people."""
    machine = found["machine"]
    free_gb = found["disk_free_bytes"] / 2**30
    enough = "" if found["disk_is_enough"] else f"; less than {LEAST_FREE_BYTES / 2**30:.0f} GiB, runs may fill it"
    memory = f"{machine['memory_bytes'] / 2**30:.1f} GiB of memory, {machine['free_memory_bytes'] / 2**30:.1f} free"
    text = [
        f"hone {found['hone']} on {machine['system']}, Python {machine['python']} ({found['python']})",
        f"machine: {machine['cpu']}, {machine['cores']} cores, {memory}",
        f"device:  {found['device'] or 'unknown without torch'}",
        f"disk:    {free_gb:.1f} GiB free here{enough}",
        "core:    " + ", ".join(f"{name} {version}" for name, version in found["versions"].items() if version),
    ]
    if found["missing"]:
        text.append(f"missing: {', '.join(found['missing'])}; add with: {_pip([])}")
    for name, version in found["extras"].items():
        purpose = _FOR.get(name, "")
        text.append(
            f"extra:   {name} {version} ({purpose})" if version else f"extra:   no {name} ({purpose}): {_pip([name])}"
        )
    return text


def _requirements() -> tuple[list[str], list[str]]:
    """Distributions that every solve needs, and the extras that are one package for one purpose."""
    try:
        wanted = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return ["torch", "transformers", "tokenizers"], list(_FOR)
    names = [(re.split(r"[\[<>=!~; ]", text, maxsplit=1)[0], "extra ==" in text) for text in wanted]
    return [name for name, extra in names if not extra], list(_FOR)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _device() -> str:
    from hone.hardware import accelerator

    return accelerator()


def _pip(extras: list[str]) -> str:
    wanted = f"{DISTRIBUTION}[{','.join(extras)}]" if extras else DISTRIBUTION
    return f"{sys.executable} -m pip install '{wanted}'"
