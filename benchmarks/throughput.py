"""Training speed of hone's engine beside a bare PyTorch loop and the Transformers Trainer.

    python benchmarks/throughput.py [--blocks 6] [--seconds 30] [--threads 1]

Each contender is a process of its own that trains the same model on the same batches. They take turns: one block of
at least ``--seconds`` each, round after round, the order turned each round, so that a slow minute of the machine falls
on all. Only steps are measured (imports, data and warm-up are over), in tokens per CPU-second of the process, and the
ratio comes with a bootstrap interval over the rounds.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import ratio_with_interval, write_result
from workload import Gate, prepare_workload

CONTENDERS = ("hone", "bare", "bare-all-logits", "trainer")


class Contender:
    """A child process that trains in blocks."""

    def __init__(self, name: str, cache: Path, threads: int) -> None:
        command = [sys.executable, __file__, "--contender", name, "--cache", str(cache), "--threads", str(threads)]
        self.name = name
        self.blocks: list[dict[str, float]] = []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def run_block(self, seconds: float) -> None:
        """One measured block."""
        self._say(f"block {seconds}")
        self.blocks.append(self._answer())

    def stop(self) -> None:
        """End the process."""
        self._say("stop")
        self.process.wait(timeout=120)

    def tokens_per_cpu_second(self) -> list[float]:
        """One figure per block."""
        return [block["tokens"] / block["cpu_s"] for block in self.blocks]

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        sys.exit(f"{self.name}: the contender ended with status {self.process.wait()} before its block did")


def contend(name: str, cache: Path, threads: int) -> None:
    """Be one contender: prepare, then train until the gate says stop."""
    work = prepare_workload(cache, threads)
    gate, model = Gate(), work.model()
    with tempfile.TemporaryDirectory() as scratch:
        if name == "hone":
            _train_with_hone(work, model, gate, Path(scratch))
        elif name == "trainer":
            from transformers_trainer import train

            train(model, work.steps(), work.recipe, gate, Path(scratch))
        else:
            from bare_loop import train as train_bare

            train_bare(model, work.steps(), work.recipe, gate, gather=name == "bare")


def _train_with_hone(work: Any, model: Any, gate: Gate, folder: Path) -> None:
    from hone.train.engine import fit

    stopped = False

    def on_step(record: Any) -> None:
        nonlocal stopped
        stopped = stopped or gate.step(record.tokens)

    fit(model, work.source(), work.recipe, folder, on_step=on_step, should_stop=lambda: stopped)


def compare(names: list[str], blocks: int, seconds: float, threads: int) -> dict[str, Any]:
    """Run all contenders in turns and work out the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        prepare_workload(cache, threads)
        contenders = [Contender(name, cache, threads) for name in names]
        for index in range(blocks):
            turn = index % len(contenders)
            for contender in contenders[turn:] + contenders[:turn]:
                contender.run_block(seconds)
                print(f"round {index + 1} of {blocks}: {contender.name:16} {contender.blocks[-1]}", file=sys.stderr)
        for contender in contenders:
            contender.stop()
    speed = {contender.name: contender.tokens_per_cpu_second() for contender in contenders}
    return {
        "threads": threads,
        "block_seconds": seconds,
        "tokens_per_cpu_second": speed,
        "blocks": {contender.name: contender.blocks for contender in contenders},
        "hone_over": {name: ratio_with_interval(speed["hone"], speed[name]) for name in names if name != "hone"},
    }


def main() -> None:
    """Compare, or be one of the compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=6, help="rounds of one block each (default 6)")
    parser.add_argument("--seconds", type=float, default=30.0, help="least length of a block (default 30)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each contender (default 1)")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        contend(arguments.contender, arguments.cache, arguments.threads)
        return
    names = list(CONTENDERS)
    if importlib.util.find_spec("accelerate") is None:
        names.remove("trainer")
        print('the Trainer is left out: it needs accelerate (pip install -e ".[bench]")', file=sys.stderr)
    write_result("throughput", compare(names, arguments.blocks, arguments.seconds, arguments.threads))


if __name__ == "__main__":
    main()
