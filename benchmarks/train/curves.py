"""Real learning curves, with labels that owe nothing to the diagnosis, and how often the diagnosis is right.

    python benchmarks/train/curves.py                      # the confusion tables, from the curves that are committed
    python benchmarks/train/curves.py --make --data FOLDER  # train them again (about eight CPU-minutes)

A run's dev rows are cut in two. The diagnosis sees the training loss and the curve on the smaller part, A. The label
comes from the larger part, B, which it never sees, and from a second run:

* overfit: the loss on B at the end is more than 3 % above its lowest (means of three evaluations in a row);
* else underfit: the same recipe with twice the steps brings the lowest loss on B down by more than 3 %;
* else a good fit.

Data: the voice example (Snips NLU, CC0-1.0), tinyshakespeare (MIT), banking77 (PolyAI, I. Casanueva et al. 2020,
CC-BY-4.0; shortened to the columns text and category). ``FOLDER`` holds banking77/train.csv and
tinyshakespeare/input.txt. What is committed are numbers: losses by step.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from hone.attempts import Bench
    from hone.task.recipe import Recipe
    from hone.task.render import Example

ROOT = Path(__file__).resolve().parents[2]
VOICE = ROOT / "src" / "hone" / "examples" / "voice"
FIXTURE = ROOT / "tests" / "train" / "real_curves.json"
EVALUATIONS = 18
SEEN, JUDGED = 100, 160
"""Dev rows of part A and of part B."""
MATERIAL = 0.03


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One run: a task, how many of its rows, and what is changed in the recipe."""

    task: str
    rows: int
    steps: int
    learning_rate: float = 4e-3
    batch_size: int = 16
    context: int = 256
    schedule: str = "constant"
    optimizer: str = "adamw"
    seed: int = 0
    base: str = "scratch:tiny"
    shuffled: bool = False
    """Whether rows are drawn from all of the file, in which they may be ordered by class, and not from its head."""


PLANS = {
    "voice, short": Plan(task="voice", rows=6000, steps=60),
    "voice, short, with decay": Plan(task="voice", rows=6000, steps=90, schedule="warmup-stable-decay", seed=1),
    "shakespeare, short": Plan(task="shakespeare", rows=6000, steps=70, context=64),
    "shakespeare, low rate": Plan(task="shakespeare", rows=6000, steps=120, context=64, learning_rate=8e-4),
    "banking77, short": Plan(task="banking77", rows=7000, steps=60),
    "voice, 300 rows, long": Plan(task="voice", rows=300, steps=300, shuffled=True),
    "shakespeare, 150 rows, long": Plan(task="shakespeare", rows=150, steps=450, context=64, seed=1),
    "banking77, 700 rows, 220 steps": Plan(task="banking77", rows=700, steps=220, shuffled=True),
    "banking77, 150 rows, long": Plan(task="banking77", rows=150, steps=220, shuffled=True),
    "voice, 80 rows": Plan(task="voice", rows=80, steps=90, schedule="warmup-cosine", shuffled=True),
    "shakespeare, 100 rows": Plan(
        task="shakespeare", rows=100, steps=100, context=64, schedule="warmup-cosine", seed=2, shuffled=True
    ),
    "banking77, 100 rows": Plan(task="banking77", rows=100, steps=130, schedule="warmup-cosine", shuffled=True, seed=1),
    "voice, 300 rows": Plan(task="voice", rows=300, steps=130, schedule="warmup-cosine", shuffled=True),
    "shakespeare, 600 rows": Plan(task="shakespeare", rows=600, steps=700, context=64, learning_rate=8e-3),
    "shakespeare, 300 rows": Plan(
        task="shakespeare", rows=300, steps=200, context=64, schedule="warmup-cosine", seed=2, shuffled=True
    ),
    "banking77, 700 rows, 80 steps": Plan(
        task="banking77", rows=700, steps=80, schedule="warmup-cosine", shuffled=True, seed=1
    ),
}


def tasks(data: Path, folder: Path) -> dict[str, Any]:
    """The three tasks as (task, folder) by name; two are written into ``folder``."""
    from hone.task.load import load_task

    texts = {
        "banking77": 'task: banking77\nkind: classify\ndata: {train: FILE, dev: 600}\ninput: "{text}"\n'
        'output: "{category}"\ntarget: 0.8\n'.replace("FILE", str(data / "banking77" / "train.csv")),
        "shakespeare": "task: shakespeare\nkind: language-model\ndata: {train: lines.jsonl, dev: 600}\n"
        'output: "{text}"\noverlong: split\ntarget: 3.0\n',
    }
    found = {"voice": (load_task(VOICE), VOICE)}
    for name, text in texts.items():
        (folder / name).mkdir()
        (folder / name / "hone.yaml").write_text(text)
        if name == "shakespeare":
            plain = (data / "tinyshakespeare" / "input.txt").read_text()
            speeches = [part for part in plain.split("\n\n") if len(part) > 120]
            lines = (json.dumps({"text": part}) for part in dict.fromkeys(speeches))
            (folder / name / "lines.jsonl").write_text("\n".join(lines) + "\n")
        found[name] = (load_task(folder / name), folder / name)
    return found


def recipe_of(plan: Plan, steps: int, evaluations: int = EVALUATIONS) -> Recipe:
    """The recipe of a plan, with so many steps and evaluations."""
    from hone.task.recipe import Recipe

    return Recipe().child(
        base=plan.base, vocab_size=512, optimizer=plan.optimizer, learning_rate=plan.learning_rate, steps=steps,
        batch_size=plan.batch_size, context=plan.context, schedule=plan.schedule, seed=plan.seed,
        warmup_steps=0 if plan.schedule == "constant" else steps // 20,
        eval_every=max(1, steps // evaluations), initial="random", init_std=0.02, average=0.0, label_smoothing=0.0,
    )  # fmt: skip


class Curves:
    """Collects what a run says of itself: each step, and each evaluation on both parts of dev."""

    def __init__(self, seen: Sequence[Example], judged: Sequence[Example]) -> None:
        self.seen, self.judged = seen, judged
        self.steps: list[list[float]] = []
        self.evaluations: list[list[float]] = []
        self.on_b: list[float] = []

    def step(self, record: Any) -> None:
        """Keep one step."""
        self.steps.append([rounded(record.loss), rounded(record.learning_rate), rounded(record.grad_norm)])

    def judge(self, model: nn.Module, step: int) -> Any:
        """Loss and accuracy of the next token on A, and the loss on B."""
        from hone.task.scores import Score
        from hone.train.records import Judgement

        loss, right, count = loss_and_accuracy(model, self.seen)
        on_b, _, _ = loss_and_accuracy(model, self.judged)
        self.evaluations.append([step, rounded(loss), rounded(right)])
        self.on_b.append(rounded(on_b))
        score = Score(name="token_accuracy", mean=right, low=max(0.0, right - 0.02), high=right, n=count)
        return Judgement(score=score)


def loss_and_accuracy(model: nn.Module, examples: Sequence[Example]) -> tuple[float, float, int]:
    """Mean loss in nats and share of right tokens, teacher-forced, over the supervised tokens."""
    import torch
    from torch.nn import functional

    from hone.train.batches import collate
    from hone.train.objectives import supervised_logits

    total = right = count = 0.0
    order = sorted(examples, key=lambda example: len(example.ids))
    with torch.no_grad():
        for start in range(0, len(order), 50):
            batch = collate([(example,) for example in order[start : start + 50]])
            logits = supervised_logits(model, batch)
            total += float(functional.cross_entropy(logits, batch.targets, reduction="sum"))
            right += float((logits.argmax(-1) == batch.targets).sum())
            count += batch.targets.numel()
    return total / count, right / count, int(count)


def rounded(value: float) -> float:
    """Five significant digits."""
    return float(f"{value:.5g}")


def train(plan: Plan, bench: Bench, recipe: Recipe, folder: Path, seen: int = SEEN) -> Curves:
    """Carry out a plan by a recipe."""
    from hone.attempts import build_model
    from hone.train.engine import fit
    from hone.train.source import BatchSource

    dev, rows = list(bench.dev), list(bench.train)
    if plan.shuffled:
        for examples in (dev, rows):
            random.Random(0).shuffle(examples)
    curves = Curves(dev[:seen], dev[SEEN : SEEN + JUDGED])
    rows = rows[: plan.rows]
    model = build_model(recipe, bench.tokenizer, bench.data.labels)
    fit(model, BatchSource.of_recipe(rows, recipe), recipe, folder, evaluate=curves.judge, on_step=curves.step)
    return curves


def label(run: Curves, twice: Callable[[], Curves]) -> tuple[str, dict[str, float]]:
    """The label of a run by part B and, unless it is overfit, by the run of twice the steps, with the figures."""
    threes = [sum(part) / 3 for part in zip(run.on_b, run.on_b[1:], run.on_b[2:], strict=False)]
    rise = rounded(threes[-1] / min(threes) - 1)
    if rise > MATERIAL:
        return "overfit", {"rise_on_b": rise}
    doubled = twice()
    gain = 1 - min(doubled.on_b) / min(run.on_b)
    return ("underfit" if gain > MATERIAL else "good fit"), {
        "rise_on_b": rise,
        "gain_of_twice_the_steps": rounded(gain),
    }


def make(data: Path, out: Path) -> None:
    """Train every plan that ``out`` does not have yet, and the same with twice the steps; write after each."""
    import torch

    from hone.attempts import prepare_bench
    from hone.data.prepare import prepare

    torch.set_num_threads(1)
    made = {curve["name"]: curve for curve in read_curves(out)}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        known = tasks(data, folder)
        versions = {name: prepare(*of, folder / f"cache-{name}", unsaid) for name, of in known.items()}
        for name, plan in PLANS.items():
            if name in made:
                continue
            begin = time.process_time()
            recipe = recipe_of(plan, plan.steps)
            cache = folder / f"cache-{plan.task}"
            bench = prepare_bench(known[plan.task][0], versions[plan.task], recipe, cache, unsaid)
            run = train(plan, bench, recipe, folder / name)
            longer = recipe_of(plan, 2 * plan.steps, EVALUATIONS // 2)
            named, figures = label(run, partial(train, plan, bench, longer, folder / f"{name}, twice", seen=1))
            loss, rate, norm = (list(column) for column in zip(*run.steps, strict=True))
            made[name] = {"name": name, "label": named, **figures, "plan": asdict(plan), "clip_norm": recipe.clip_norm}
            made[name] |= {"loss": loss, "learning_rate": rate, "grad_norm": norm, "evaluations": run.evaluations}
            made[name] |= {"on_b": run.on_b}
            write_curves(out, [made[name] for name in PLANS if name in made])
            print(f"{name}: {named} {figures}, {time.process_time() - begin:.0f} CPU-s", file=sys.stderr, flush=True)


def read_curves(path: Path) -> list[dict[str, Any]]:
    """The curves of a file; none where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def write_curves(path: Path, curves: Sequence[dict[str, Any]]) -> None:
    """One curve a line."""
    lines = [json.dumps(curve, separators=(",", ":")) for curve in curves]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def shown(curve: dict[str, Any]) -> dict[str, Any]:
    """What a run writes down of a real curve: every tenth step (every fifth of a short run), each evaluation on A."""
    every = 10 if len(curve["loss"]) >= 200 else 5
    logged = range(every, len(curve["loss"]) + 1, every)
    return {
        "train": [(step, curve["loss"][step - 1]) for step in logged],
        "dev": [(int(step), loss) for step, loss, _ in curve["evaluations"]],
        "metric": [(int(step), value) for step, _, value in curve["evaluations"]],
        "rates": [(step, curve["learning_rate"][step - 1]) for step in logged],
    }


def print_tables(real: Sequence[dict[str, Any]]) -> None:
    """The confusion tables: thirty generated curves of one seed, of ten more that no rule was made with, real ones."""
    from generated_curves import generated
    from hone.train.diagnosis import Curves, diagnose

    def judged(seeds: Sequence[int]) -> list[tuple[str, str]]:
        curves = [curve for seed in seeds for curve in generated(seed)]
        return [(curve.label, diagnose(Curves(train=curve.train, dev=curve.dev)).verdict) for curve in curves]

    print_table("30 generated curves (seed 0)", judged([0]))
    print_table("300 generated curves held out (seeds 1000 to 1009)", judged(range(1000, 1010)))
    found = [(curve["name"], curve["label"], diagnose(Curves(**shown(curve))).verdict) for curve in real]
    print_table(f"{len(real)} real curves", [(label, verdict) for _, label, verdict in found])
    for name, label, verdict in found:
        if label != verdict:
            print(f"  {name}: {verdict}, is {label}")


def print_table(title: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Labels down, verdicts across, as Markdown."""
    classes = ("underfit", "good fit", "overfit", "unclear")
    counts = Counter(pairs)
    right = sum(label == verdict for label, verdict in pairs)
    print(f"\n{title}: {right} of {len(pairs)} right\n")
    print("| is | " + " | ".join(f"told {name}" for name in classes) + " |\n|---|" + "---|" * len(classes))
    for label in classes[:3]:
        print(f"| {label} | " + " | ".join(str(counts[label, verdict]) for verdict in classes) + " |")


def unsaid(line: str) -> None:
    """Where the lines on the data go."""
    del line


def main() -> None:
    """Print the confusion tables, or make the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--make", action="store_true", help="train the curves again and write the fixture")
    parser.add_argument("--data", type=Path, help="folder with banking77/ and tinyshakespeare/")
    parser.add_argument("--out", type=Path, default=FIXTURE, help=f"where the curves go (default {FIXTURE.name})")
    arguments = parser.parse_args()
    if arguments.make:
        if arguments.data is None:
            parser.error("--make needs --data FOLDER")
        make(arguments.data, arguments.out)
    print_tables(read_curves(arguments.out))


if __name__ == "__main__":
    main()
