"""The frame: the floors, the size of rooms, and a command line that starts without heavy imports (law 12)."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = CONFIG["project"]

# Run in a child: a command line, then the top-level modules that it brought in from outside the standard library.
FOREIGN_MODULES = """
import sys
before = set(sys.modules)
from hone.cli import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    assert stop.code in (None, 0), stop.code
foreign = {name.split(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names) - {"hone"}
print("foreign:", *sorted(foreign))
"""


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)


def test_rooms_import_only_lower_floors() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        pytest.skip("import-linter is not installed beside this Python (extra: test)")
    result = _run(str(program), "--no-cache")
    assert result.returncode == 0, result.stdout


def test_every_room_has_a_floor_and_torch_stays_out_of_the_lower_ones() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    floors = next(contract for contract in contracts if contract["id"] == "floors")
    listed = {room for layer in floors["layers"] for room in re.findall(r"\w+", layer)}
    package = ROOT / "src" / "hone"
    rooms = {path.stem for path in package.glob("*.py")} | {path.parent.name for path in package.glob("*/__init__.py")}
    assert rooms - {"__init__"} <= listed
    assert floors["exhaustive"] is True
    assert next(c for c in contracts if c["id"] == "without-torch")["forbidden_modules"][0] == "torch"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_outside_the_standard_library(arguments: list[str]) -> None:
    result = _run(sys.executable, "-c", FOREIGN_MODULES, *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "foreign:", result.stdout


def test_importing_hone_imports_nothing_outside_the_standard_library() -> None:
    code = "import sys; old = set(sys.modules); import hone; print(*{m.split('.')[0] for m in set(sys.modules) - old})"
    result = _run(sys.executable, "-c", code)
    assert result.returncode == 0, result.stderr
    assert set(result.stdout.split()) - set(sys.stdlib_module_names) == {"hone"}


def test_every_source_file_is_at_most_400_lines() -> None:
    long = {str(path.relative_to(ROOT)): n for path in SOURCES if (n := len(path.read_text().splitlines())) > 400}
    assert long == {}


def test_every_function_is_at_most_60_lines() -> None:
    long = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > 60:
                    long[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = lines
    assert long == {}


def test_every_extra_that_an_error_names_exists() -> None:
    named = {
        extra
        for path in SOURCES
        for group in re.findall(r"hone-lm\[([a-z, -]+)\]", path.read_text(encoding="utf-8"))
        for extra in re.split(r",\s*", group)
    }
    assert named <= set(PROJECT["optional-dependencies"])


def test_every_requirement_of_the_quickstart_and_the_tests_is_pinned() -> None:
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"
    )
    texts = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    names = {re.split(r"[\[<>=~! ;]", text)[0].lower().replace("_", "-") for text in texts} - {PROJECT["name"]}
    assert names <= set(pins)
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pins.values()), "a pin has a local label"


def test_tracked_files_name_no_machine_and_no_package_host() -> None:
    if shutil.which("git") is None or _run("git", "rev-parse", "--git-dir").returncode:
        pytest.skip("not a git checkout")
    machine = re.compile(
        r"(?<![\w.~$}])/(?:home|root|work|Users|opt|mnt|srv|media)/\w|--(?:extra-)?index-url[ =]\S|--find-links[ =]\S|file://"
    )
    found = []
    for name in _run("git", "ls-files").stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".gz", ".png", ".parquet"} or name == "tests/test_frame.py" or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if machine.search(line):
                found.append(f"{name}:{number}: {line.strip()[:100]}")
    assert found == []
