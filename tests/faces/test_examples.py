"""The examples of loops of one's own, by torchrun on two CPU processes, and on one by themselves: the same run."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hone.data.tokenizer import TextTokenizer
from hone.model.folder import ModelFolder

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = ("lightning_trainer", "transformers_trainer", "accelerate_loop")
SETTINGS = {
    "base": "scratch:tiny", "vocab_size": 700, "context": 160, "swap_values": 0, "batch_size": 8, "accumulate": 2,
    "steps": 8,
}  # fmt: skip
"""As in the examples' own commands: warmup and evaluations are not named, they follow from the steps."""
PRINTED = re.compile(r"example \S*?(\w+)\.py\n.*?loss (\S+) -> (\S+) in (\d+) steps on (\d) process", re.DOTALL)


@pytest.fixture(scope="module")
def on_two_processes(voice) -> dict[str, tuple[float, float, int, int]]:
    """What each example prints: first and last loss, steps, processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    scripts = ",".join(str(EXAMPLES / f"{name}.py") for name in NAMES)
    settings = [f"{key}={value}" for key, value in SETTINGS.items()]
    child = subprocess.run(
        [*torchrun, str(Path(__file__).with_name("in_turn.py")), scripts, str(voice), *settings],
        capture_output=True, text=True, check=False, timeout=600, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert child.returncode == 0, child.stderr[-3000:]
    found = PRINTED.findall(child.stdout)
    return {name: (float(first), float(last), int(steps), int(n)) for name, first, last, steps, n in found}


def on_one_process(name: str, folder: Path) -> list[float]:
    """The loss of each step of an example, carried out here."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main(str(folder), SETTINGS)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_example_learns_on_two_processes_what_it_learns_on_one(name, voice, on_two_processes, capsys):
    first, last, steps, processes = on_two_processes[name]
    alone = on_one_process(name, voice)
    assert (steps, processes) == (len(alone), 2) == (SETTINGS["steps"], 2)
    assert first == pytest.approx(alone[0], abs=1e-4)  # the same rows, and the mean over all their tokens
    assert last == pytest.approx(alone[-1], abs=1e-4)  # after eight updates with the same gradients
    assert last < first - 0.3
    folder = voice / f"by-{name.partition('_')[0]}"
    assert ModelFolder(folder / "model", TextTokenizer).renderer(), "and what it has trained lies where it says"
    assert f"the model lies in {folder / 'model'}\n" in capsys.readouterr().out
    if name == "lightning_trainer":
        assert list((voice / "by-lightning" / "checkpoints").glob("*.ckpt"))  # by dev_loss: it was measured


def test_every_example_is_among_them():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(NAMES)
