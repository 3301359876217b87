"""Documents promise only what exists: commands, make targets, links, and the laws' tests."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from subprocess import run

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
COMMAND = re.compile(r"^(?:\$ )?((?:make|hone|\.venv/bin/hone) .+)$")
NOT_PROSE = {"CHANGELOG.md"}


def _code(text: str) -> list[str]:
    """Lines of fenced shell blocks, and code spans that start with a command."""
    blocks = re.findall(r"^```(?:sh|console|bash)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()] + spans


def _commands() -> list[tuple[str, str]]:
    found = []
    for path in DOCUMENTS:
        for line in _code(path.read_text(encoding="utf-8")):
            for part in line.split(" && "):
                if match := COMMAND.match(part.strip()):
                    found.append((path.name, match[1]))
    return found


@pytest.fixture(scope="module")
def verbs() -> set[str]:
    code = "import sys; from hone.cli import main; sys.exit(main(['--help']))"
    text = run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    return set(re.findall(r"^ {2,6}([a-z]+) ", text, flags=re.MULTILINE))


def test_the_readme_shows_the_two_commands() -> None:
    shown = {command for name, command in _commands() if name == "README.md"}
    assert any(command.startswith("make quickstart") for command in shown)
    assert any(command.startswith("hone solve") for command in shown)


def test_every_hone_command_in_the_documents_exists(verbs: set[str]) -> None:
    unknown = []
    for name, command in _commands():
        words = shlex.split(command)
        if words[0].endswith("hone") and words[1].isalpha() and words[1].islower() and words[1] not in verbs:
            unknown.append(f"{name}: {command}")
    assert unknown == []


def test_every_make_target_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    calls = [(name, shlex.split(command)[1:]) for name, command in _commands() if command.startswith("make ")]
    unknown = [f"{name}: {word}" for name, words in calls for word in words if "=" not in word and word not in targets]
    assert unknown == []


def test_every_relative_link_leads_somewhere() -> None:
    broken = []
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            if "://" not in target and not target.startswith("#") and not (path.parent / target.split("#")[0]).exists():
                broken.append(f"{path.name}: {target}")
    assert broken == []


def test_every_path_of_the_repository_that_a_document_names_exists() -> None:
    broken = []
    for path in DOCUMENTS:
        if path.name in NOT_PROSE:
            continue
        for span in re.findall(r"`((?:src|tests|tools|docs|benchmarks)/[\w./-]+)(?:::\w+)?`", path.read_text("utf-8")):
            if not (ROOT / span).exists():
                broken.append(f"{path.name}: {span}")
    assert broken == []


def test_the_table_of_presets_says_what_the_presets_are() -> None:
    """Each rule with what it keeps, in the row of the presets that have it."""
    from hone.data.presets import OPTIONAL, PRESETS, preset

    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    table = text.split("| preset | rules, and what each keeps |\n|---|---|\n")[1].split("\n\n")[0]
    said: dict[str, dict[str, str]] = {name: {} for name in (*PRESETS, "generate", "no preset")}
    for line in table.splitlines():
        head, rules = line.strip("| ").split(" | ")
        names = ["no preset"] if head.startswith("no preset") else re.findall(r"`(\w+)`", head)
        for name in ["generate"] if "generate" in names else names:
            said[name] |= dict(re.findall(r"`([\w-]+)` \(`([^`]+)`\)", rules))
    meant = {name: {rule.name: rule.sentence() for rule in found.rules} for name, found in PRESETS.items()}
    generate = {rule.name: rule.sentence() for rule in preset("task", "generate").rules}
    meant["generate"] = {name: keeps for name, keeps in generate.items() if name not in meant["task"]}
    named = {name for rules in meant.values() for name in rules}
    meant["no preset"] = {name: rule.sentence() for name, rule in OPTIONAL.items() if name not in named}
    assert said == meant
    (steps,) = re.findall(r"`web` also has the transforms\n?([^(]+)\(", text)
    assert re.findall(r"`([\w-]+)`", steps) == [name for name, _ in PRESETS["web"].transforms]


def test_the_example_of_a_database_works_as_pasted(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sh\n(python -c [^\n]+\nhone look \"sqlite[^\n]+\n)```", text)
    make, command = (shlex.split(line) for line in block.splitlines())
    run([sys.executable, *make[1:]], cwd=tmp_path, check=True, timeout=60)
    shown = run([sys.executable, "-m", *command], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60)
    assert "2 rows" in shown.stdout
