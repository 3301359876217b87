"""One contender in a process of its own; the other scripts start it.

    python benchmarks/train/contenders.py NAME --work WORK --data FOLDER --cache FOLDER [--threads N] [--measure WHAT]

WHAT is ``blocks`` (speed, told when by standard input), ``memory`` (peak over the size after imports), ``first-step``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

BEGUN = time.perf_counter()

from turns import Gate  # noqa: E402  (the clock starts before imports)

if TYPE_CHECKING:
    from work import Work

MEMORY_STEPS = 20


def _hone(work: Work, gate: Gate, folder: Path, **changes: Any) -> None:
    from hone.train.engine import fit
    from hone.train.guards.standard import standard_watchers

    recipe, source = work.recipe.child(**changes), work.source(**changes)
    stopped = False

    def on_step(record: Any) -> None:
        nonlocal stopped
        stopped = stopped or gate.step(record.tokens, record.supervised_tokens)

    fit(
        work.model(), source, recipe, folder,
        on_step=on_step, should_stop=lambda: stopped, watchers=standard_watchers(recipe, tell=None),
    )  # fmt: skip


def _watched(work: Work, gate: Gate, folder: Path) -> None:
    """As ``hone train`` has it: the standard guards, and the lab's log."""
    from hone.attempts.carrying import LOG_EVERY
    from hone.lab.lab import Lab
    from hone.train.guards.standard import standard_watchers

    run = Lab(folder, say=lambda line: None).new_run(work.recipe, "hooks", "benchmark")

    def on_step(record: Any) -> None:
        if record.step % LOG_EVERY == 0:
            values = record.to_json()
            run.log(values.pop("step"), **values)

    def tell(event: Any) -> None:
        run.guard(**event)

    _stepped(work, gate, run.folder, on_step=on_step, on_guard=tell, watchers=standard_watchers(work.recipe, tell))


def _stepped(work: Work, gate: Gate, folder: Path, **hooks: Any) -> None:
    """The engine with the gate asked where a run may be stopped, so that nothing hangs on the steps but ``hooks``."""
    from hone.train.engine import fit

    fit(work.model(), work.source(), work.recipe, folder, should_stop=lambda: gate.step(0, 0), **hooks)


def _bare(work: Work, gate: Gate, folder: Path, *, all_logits: bool = False) -> None:
    from bare_loop import train

    del folder
    train(work, gate, all_logits=all_logits)


def _trainer(work: Work, gate: Gate, folder: Path) -> None:
    from transformers_trainer import train

    train(work, gate, folder)


def _litgpt(work: Work, gate: Gate, folder: Path) -> None:
    from litgpt_loop import train

    del folder
    train(work, gate)


def _trl(work: Work, gate: Gate, folder: Path, setting: str) -> None:
    from trl_trainer import SETTINGS, train

    train(work, gate, folder, SETTINGS[setting])


CONTENDERS: dict[str, Callable[[Work, Gate, Path], None]] = {
    "hone": _hone,
    "hone-watched": _watched,
    "hone-unwatched": _stepped,
    "hone-packed": partial(_hone, packing=True, batch_size=3),
    "bare": _bare,
    "bare-all-logits": partial(_bare, all_logits=True),
    "trainer": _trainer,
    "litgpt": _litgpt,
    "trl": partial(_trl, setting="defaults"),
    "trl-grouped": partial(_trl, setting="grouped"),
    "trl-padding-free": partial(_trl, setting="padding-free"),
    "trl-packed": partial(_trl, setting="packed"),
}
IMPORTS = {
    "trainer": "transformers_trainer",
    "litgpt": "litgpt_loop",
    "trl": "trl_trainer",
    "bare": "bare_loop",
    "hone": "hone.train.engine",
}


class MemoryGate(Gate):
    """Ends after some steps and tells the largest size since the start, over the size then."""

    def __init__(self) -> None:
        super().__init__()
        Path("/proc/self/clear_refs").write_text("5")
        self.before = _kib("VmRSS")
        self.left = MEMORY_STEPS

    def step(self, tokens: int, supervised: int) -> bool:
        """See :class:`Gate`."""
        del tokens, supervised
        self.left -= 1
        if self.left == 0:
            _tell(after_imports_mb=self.before / 1024, peak_over_mb=(_kib("VmHWM") - self.before) / 1024)
        return self.left <= 0


class FirstStepGate(Gate):
    """Ends after the first step and tells how long it took."""

    def __init__(self, begun: float) -> None:
        super().__init__()
        self.begun = begun

    def step(self, tokens: int, supervised: int) -> bool:
        """See :class:`Gate`."""
        del tokens, supervised
        _tell(seconds=time.perf_counter() - self.begun, cpu_s=time.process_time())
        return True


def _kib(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def _tell(**figures: float) -> None:
    print(json.dumps(figures), flush=True)


def import_all(name: str) -> None:
    """Import what a contender's family needs, and build nothing."""
    import importlib

    import work

    assert work
    importlib.import_module("transformers.models.llama.modeling_llama")
    importlib.import_module("transformers.models.qwen3.modeling_qwen3")
    importlib.import_module("lightning_fabric")
    importlib.import_module(IMPORTS[name.split("-", maxsplit=1)[0]])


def main() -> None:
    """Be one contender: prepare, then train until the gate says stop."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", choices=CONTENDERS)
    parser.add_argument("--work", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure", choices=("blocks", "memory", "first-step", "first-step-warm"), default="blocks")
    options = parser.parse_args()
    if options.measure != "first-step":
        import_all(options.name)
    if options.measure == "first-step-warm":
        child = os.fork()
        if child:
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    gates = {
        "blocks": Gate,
        "memory": MemoryGate,
        "first-step": partial(FirstStepGate, BEGUN),
        "first-step-warm": partial(FirstStepGate, time.perf_counter()),
    }
    gate = gates[options.measure]()
    import torch

    from work import prepare

    torch.set_num_threads(options.threads)
    work = prepare(options.work, options.data, options.cache, options.threads)
    with tempfile.TemporaryDirectory() as folder:
        CONTENDERS[options.name](work, gate, Path(folder))


if __name__ == "__main__":
    main()
