"""What the tests of the lab share: a lab in a temporary folder that keeps what it says, and scores."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hone.lab.lab import Lab
from hone.lab.run import Run
from hone.task.recipe import Recipe
from hone.task.scores import Score


@pytest.fixture
def said() -> list[str]:
    """Sentences that the lab said to people."""
    return []


@pytest.fixture
def lab(tmp_path: Path, said: list[str]) -> Lab:
    return Lab(tmp_path / "voice", say=said.append)


@pytest.fixture
def f1() -> Callable[..., Score]:
    def score(mean: float, half: float = 0.02, name: str = "field_f1", higher: bool = True) -> Score:
        return Score(name=name, mean=mean, low=mean - half, high=mean + half, n=700, higher_is_better=higher)

    return score


@pytest.fixture
def finished(lab: Lab, f1: Callable[..., Score]) -> Callable[..., Run]:
    """Make a run that ends with a dev score."""

    def make(name: str, mean: float, half: float = 0.02, **more: object) -> Run:
        changes = {"batch_size": 64} if name == "wider" else {}
        run = lab.new_run(Recipe(**changes), "task0", "data0", name=name, metric="field_f1", **more)  # type: ignore[arg-type]
        run.log(1, loss=2.5)
        run.finish({"scores": {"field_f1": f1(mean, half)}})
        return run

    return make


@pytest.fixture
def together() -> Callable[[str, list[str]], list[str]]:
    """Run one script in several processes that start at the same moment; what each printed."""

    def start(script: str, arguments: list[str]) -> list[str]:
        waiting = "import sys\nprint('ready', flush=True)\nsys.stdin.readline()\n"
        imports = (
            "from hone.lab.lab import Lab\nfrom hone.task.recipe import Recipe\nfrom hone.task.scores import Score\n"
        )
        children = [
            subprocess.Popen(
                [sys.executable, "-c", imports + waiting + script, argument],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for argument in arguments
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        printed = [child.communicate(timeout=60)[0] for child in children]
        assert [child.returncode for child in children] == [0] * len(children)
        return printed

    return start
