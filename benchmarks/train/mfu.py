"""Share of a GPU's peak that training reaches: models of 125 and 350 million parameters, contexts of 2,048 tokens.

    python benchmarks/train/mfu.py [--sizes 125m,350m] [--batch 16] [--steps 250] [--peak 989e12]

bf16, compiled, random tokens, one GPU; steps 50 to 250 are timed. FLOPs of a token are 6 times the matrix parameters
(the output matrix included, the input embedding not) and 12 * L * d * T for attention; the peak is that of dense bf16
by the vendor's data sheet, and a GPU that :mod:`hone.model.speed` does not know needs ``--peak``. hone's engine and the
bare loop take turns in processes of their own. Without a GPU there is nothing to measure, and this says so.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hone.model.speed import mfu, peak_flops
from turns import ratio_with_interval, write_result

CONTEXT = 2048
FIRST = 50
ENDLESS = 1_000_000


def work_of(size: str, batch: int) -> Any:
    """Recipe and a hundred batches of random rows."""
    from hone.task.recipe import Recipe
    from work import Work, full_rows

    vocab = 32_768
    recipe = Recipe().child(
        base=f"scratch:{size}", architecture="llama", initial="random", optimizer="adamw", schedule="constant",
        learning_rate=3e-4, warmup_steps=0, steps=ENDLESS, eval_every=ENDLESS, batch_size=batch, context=CONTEXT,
        precision="bf16-mixed", compile=True,
    )  # fmt: skip
    rows = np.random.default_rng(0).integers(4, vocab, (20 * batch, CONTEXT), dtype=np.int32)
    return Work(recipe=recipe, vocab=vocab, examples=full_rows(rows))


class Timer:
    """A gate that times the steps from FIRST to the last."""

    def __init__(self, steps: int) -> None:
        self.left, self.steps = steps, steps
        self.begun = 0.0

    def step(self, tokens: int, supervised: int) -> bool:
        """Count a step; whether it was the last."""
        del tokens, supervised
        self.left -= 1
        done = self.steps - self.left
        if done in (FIRST, self.steps):
            torch.cuda.synchronize()
            if done == FIRST:
                self.begun = time.perf_counter()
            else:
                seconds = (time.perf_counter() - self.begun) / (self.steps - FIRST)
                print(json.dumps({"step_s": seconds, "peak_mb": torch.cuda.max_memory_allocated() / 2**20}), flush=True)
        return self.left <= 0


def train(name: str, size: str, batch: int, steps: int) -> None:
    """Be one contender."""
    work, gate = work_of(size, batch), Timer(steps)
    if name == "hone":
        from contenders import CONTENDERS

        with tempfile.TemporaryDirectory() as folder:
            CONTENDERS["hone"](work, gate, Path(folder))
        return
    _bare(work, gate)


def _bare(work: Any, gate: Timer) -> None:
    """The bare loop on a GPU: autocast, compiled, batches on the device before the loop."""
    recipe, model = work.recipe, work.model().cuda()
    rows = np.stack([example.ids for example in work.examples])
    batches = torch.from_numpy(rows).long().cuda().view(-1, recipe.batch_size, CONTEXT)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=(recipe.beta1, recipe.beta2), fused=True
    )

    @torch.compile
    def loss_of(ids: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cuda", torch.bfloat16):
            logits = model(input_ids=ids, use_cache=False).logits
        return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten())

    model.train()
    for index in range(ENDLESS):
        loss_of(batches[index % len(batches)]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if gate.step(0, 0):
            return


def main() -> None:
    """Measure hone and the bare loop at each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="not used; every script of this folder takes it")
    parser.add_argument("--sizes", default="125m,350m")
    parser.add_argument("--batch", type=int, default=16, help="rows of a step (default 16)")
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=3, help="fresh processes of each, by turns (default 3)")
    parser.add_argument("--peak", type=float, help="dense bf16 FLOP/s of this GPU")
    parser.add_argument("--contender", choices=("hone", "bare"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("there is no CUDA GPU here; nothing was measured")
        return
    if options.contender:
        train(options.contender, options.sizes, options.batch, options.steps)
        return
    device = torch.cuda.get_device_name()
    peak = options.peak or peak_flops(device)
    found = {size: _measure(size, options, peak) for size in options.sizes.split(",")}
    write_result("mfu", {"device": device, "peak_flops": peak, "sizes": found})


def _measure(size: str, options: argparse.Namespace, peak: float) -> dict[str, Any]:
    from hone.model.estimate import flops_per_token
    from hone.model.presets import shape_of

    work = work_of(size, options.batch)
    shape = shape_of(work.recipe, work.vocab)
    seconds: dict[str, list[float]] = {"hone": [], "bare": []}
    for index in range(options.rounds):
        for name in list(seconds)[:: 1 if index % 2 == 0 else -1]:
            command = [sys.executable, __file__, "--contender", name, "--sizes", size, "--batch", str(options.batch)]
            done = subprocess.run(
                [*command, "--steps", str(options.steps)], check=True, text=True, stdout=subprocess.PIPE
            )
            told = json.loads(next(line for line in reversed(done.stdout.splitlines()) if line.startswith('{"step_s')))
            seconds[name].append(told["step_s"])
    tokens = options.batch * CONTEXT
    reached = {name: [mfu(shape, CONTEXT, tokens / s, peak) for s in values] for name, values in seconds.items()}
    ratio = ratio_with_interval([1 / s for s in seconds["hone"]], [1 / s for s in seconds["bare"]])
    print(f"{size}: MFU {reached}, hone over bare {ratio}")
    per_token = flops_per_token(shape, CONTEXT).value
    return {"flops_per_token": per_token, "step_s": seconds, "mfu": reached, "hone_over_bare": ratio}


if __name__ == "__main__":
    main()
