"""``hone export --calibrate train``: a second stage on a format's grid beside rounding; what diverges least is taken.

The stage is a run of the lab like any other: the recipe of the run that is exported, from that run's model on, gently,
with ``aware``. It is measured as the ways of rounding are (:mod:`hone.deploy.quantization.offered`), and stays in the
lab where it loses.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hone.attempts import AttemptReport
from hone.attempts.checking import changed
from hone.attempts.training_for import grid_to_train
from hone.data.tokenizer import TextTokenizer
from hone.deploy.apart import NOTHING_APART, Apart
from hone.deploy.quantization.offered import TRAIN, Offer, best_of, prepared_of, reading_and_judging
from hone.deploy.weights import FORMATS, Prepared
from hone.errors import FailedError, InputError
from hone.files import read_json
from hone.lab.lab import Lab
from hone.lab.record import slug
from hone.lab.run import Run
from hone.model.folder import HONE_FILE, ModelFolder, files_id
from hone.processes import spin_briefly
from hone.solving.calibrating import rows_to_round_by
from hone.solving.defaults import default_recipe
from hone.solving.exporting import Source, check_places, export_each, foreseen, refused, source_of
from hone.solving.single import Wish, task_and_id
from hone.task.recipe import Recipe, of_length
from hone.wording import counted

STEPS = 300
"""Of a stage where nobody says: what was measured (benchmarks/README.md); fewer where the run itself had fewer."""
RATE = 1e-4
"""The highest rate: the model is moved within its grid, and is not to learn anything new."""
TEACHER = 4 / 3
"""A step's time beside that of the run itself: the model in floats computes a forward pass of its own."""
GENTLY = ("optimizer", "schedule", "decay_share", "least_rate", "beta1", "beta2", "weight_decay", "clip_norm")
"""Keys that are those of a base of one's own, and not what the run needed to learn from nothing."""
LEFT_OUT = (
    "add_tokens", "average", "class_weights", "dropout", "early_stop", "freeze", "label_smoothing", "layer_decay",
    "on_spike", "strategy",
)  # fmt: skip
"""Keys that are put back: the base has its tokens, all matrices are rounded, and nothing is chosen on the way."""
Say = Callable[[str], None]
Carry = Callable[[Wish], AttemptReport]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A second stage on one grid, before it is trained."""

    grid: str
    weights: tuple[str, ...]
    """Formats that lie on it."""
    wish: Wish
    behind: str
    """The run that it begins from."""
    known: Run | None
    """The run that is this stage, where it was begun before."""
    seconds: float | None
    """About; None where nothing was measured."""

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to train."""
        return self.known is not None and self.known.result is not None

    def line(self) -> str:
        """For people, before anything is computed."""
        steps, of = self.wish.recipe.steps, f"for {', '.join(self.weights)}: "
        if self.known is not None and self.is_done:
            return f"{of}run {self.known.folder.name} was trained on the grid of {self.grid} from {self.behind} already"
        if self.known is not None and (at := self.known.last_step()):
            return f"{of}run {self.known.folder.name} goes on at step {at:,} of {steps:,} on the grid of {self.grid}"
        lasts = "" if self.seconds is None else f", about {self.seconds:,.0f} s by that run's own; judging comes on top"
        return f"{of}a second stage on the grid of {self.grid} from run {self.behind}, {counted(steps, 'step')}{lasts}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "grid": self.grid,
            "weights": list(self.weights),
            "from": self.behind,
            "run": None if self.known is None else self.known.folder.name,
            "steps": self.wish.recipe.steps,
            "steps_done": 0 if self.known is None else self.known.last_step(),
            "seconds": None if self.seconds is None else round(self.seconds, 1),
        }


def source_and_stages(
    find: Callable[[], Source],
    names: Sequence[str],
    calibrate: str,
    *,
    steps: int | None = None,
    mixed: bool = False,
    apart: Apart = NOTHING_APART,
) -> tuple[Source, list[Stage]]:
    """The model that is to be exported, and the second stages that are tried first; nothing is computed.

    Args:
        find: gives the model.
        names: weight formats.
        calibrate: how matrices are rounded; without ``train`` there are no stages.
        steps: of each stage; :data:`STEPS`, or as many as the run had where those are fewer.
        mixed: whether single matrices are to take larger kinds.
        apart: what embedding and output layer are to be stored as.

    Raises:
        InputError: with all reasons why a stage cannot be trained or exported, those of ``find`` too.
    """
    problems = _problems(names, steps, mixed, apart) if calibrate == TRAIN else []
    if calibrate != TRAIN and steps is not None:
        problems.append(f"--train-steps {steps:,} has no effect without --calibrate train; leave one of them out")
    try:
        source = find()
    except InputError as error:
        raise InputError([*problems, *error.problems]) from None
    stages = _stages(source, names, steps, problems) if calibrate == TRAIN else []
    if problems:
        raise InputError(dict.fromkeys(problems))
    return source, stages


def _problems(names: Sequence[str], steps: int | None, mixed: bool, apart: Apart) -> list[str]:
    """What keeps a stage from being tried, by what is asked for alone."""
    problems = []
    if without := [name for name in names if not grid_to_train(name)]:
        having = ", ".join(name for name in FORMATS if grid_to_train(name))
        problems.append(f"--calibrate train: {', '.join(without)} has no grid to train on; these have one: {having}")
    asked = {"--mixed": mixed, "--embedding": apart.embedding, "--head": apart.head}
    problems += [
        f"{option} does not go with --calibrate train, which trains all matrices for one grid; leave one of them out"
        for option, given in asked.items()
        if given
    ]
    if steps is not None and steps < 1:
        problems.append(f"--train-steps must be 1 or more; got {steps:,}")
    return problems


def _stages(source: Source, names: Sequence[str], steps: int | None, problems: list[str]) -> list[Stage]:
    """The second stages of an export, one of each grid; what keeps one from being made is added to the problems."""
    run = Lab(Path(source.order["folder"]), say=lambda line: None).run(source.order["number"])
    hone = read_json(source.model / HONE_FILE)
    if aware := hone.get("aware"):
        parent = run.header.parent
        behind = "the run that it began from" if parent is None else f"run {parent}, from which it began"
        problems.append(
            f"run {run.folder.name} was itself trained on the grid of {aware}: leave --calibrate train out, or name "
            f"{behind}"
        )
    problems += refused(foreseen(source, names))
    by_grid: dict[str, list[str]] = {}
    for name in names:
        by_grid.setdefault(grid_to_train(name), []).append(name)
    stages = []
    for grid, weights in by_grid.items() if not problems else ():
        try:
            stages.append(_stage(source, run, grid, weights, steps))
        except InputError as error:
            problems += error.problems
    return stages


def _stage(source: Source, run: Run, grid: str, weights: Sequence[str], steps: int | None) -> Stage:
    """One stage, with the run that it is already."""
    length = steps or min(STEPS, int(source.order["steps"]))
    folder, of = Path(source.order["folder"]), Recipe.model_validate(run.recipe)
    recipe = _recipe(source, of, grid, length)
    wish = Wish(
        folder=folder,
        recipe=recipe,
        name=f"{grid}-of-{run.number:04d}",
        parent=run.number,
        hypothesis=f"trained on the grid of {grid} it diverges less from run {run.number} than rounded to it",
    )
    known = _known(wish, source.model)
    left = length - (0 if known is None else known.last_step())
    step_s = [row["seconds"] for row in run.metrics() if "seconds" in row]
    return Stage(
        grid=grid,
        weights=tuple(weights),
        wish=wish,
        behind=run.folder.name,
        known=known,
        seconds=TEACHER * left * statistics.median(step_s) if step_s else None,
    )


def _recipe(source: Source, of: Recipe, grid: str, steps: int) -> Recipe:
    """The recipe of a run as that of its second stage: the same rows in the same batches, moved gently."""
    base, task = str(source.model.resolve()), source.order["task"]
    gentle = default_recipe(task, source.order["data"], seed=of.seed, threads=of.threads, base=base)
    changes: dict[str, Any] = {key: getattr(gentle, key) for key in GENTLY}
    changes |= {key: Recipe.model_fields[key].default for key in LEFT_OUT}
    changes |= {"base": base, "aware": grid, "learning_rate": min(RATE, gentle.learning_rate)}
    # Rounded anew at each step, it is judged once: at its end, whose weights are kept.
    changes |= {"steps": steps, "warmup_steps": of_length(steps)["warmup_steps"], "eval_every": steps}
    return changed(of, changes, task)[0]


def _known(wish: Wish, base: Path) -> Run | None:
    """The run that is this stage already: finished by recipe and base files, wherever they lie; else begun.

    Raises:
        InputError: where one is finished that began from other files in the same place.
    """
    _, task_id = task_and_id(wish.folder)
    begun = None
    for run in reversed(Lab(wish.folder, say=lambda line: None).runs()):
        if run.name != slug(wish.name) or run.header.task_id != task_id:
            continue
        same_place = run.header.recipe_id == wish.recipe.id
        if run.result is None:
            begun = begun or (run if same_place else None)
        elif set(Recipe.model_validate(run.recipe).differences(wish.recipe)) <= {"base"}:
            described = run.model / HONE_FILE
            if described.is_file() and read_json(described).get("base_files") == files_id(base):
                return run
            if same_place:
                raise InputError(
                    f"run {run.folder.name} was trained from other files than {base} has now, or its model is gone; "
                    f"remove {run.folder} to train it again"
                )
    return begun


def export_trained(source: Source, stages: Sequence[Stage], size: str, say: Say, carry: Carry) -> list[dict[str, Any]]:
    """Measure every way of rounding, train the stages, and export each format as what diverges least from the floats.

    Args:
        source: the run in floats.
        stages: of :func:`source_and_stages`.
        size: of the certificates.
        say: takes a line on each way, and on what was chosen.
        carry: trains a wish, as :func:`hone.solving.single.carry` does.

    Returns:
        As :func:`hone.solving.exporting.export_each`.

    Raises:
        FailedError: when a stage did not come to its end, or an artifact does not match its original.
    """
    check_places([source.out, Path(source.order["folder"])])
    for stage in stages:
        say(stage.line())
    judge = _Judge(source, say)
    rounded = {name: judge.rounded(name) for stage in stages for name in stage.weights}
    prepared: dict[str, Prepared] = {}
    groups: list[tuple[Source, list[str]]] = []
    for stage in stages:
        run, seconds = _trained(stage, say, carry)
        offer = judge.trained(run.model, seconds)
        names = []
        for name in stage.weights:
            say(f"artifact {name}, {offer.line()}")
            best = best_of([*rounded[name], offer])
            if best is offer:
                names.append(name)
                say(f"artifact {name}: {TRAIN} is taken, it diverges least: the model of run {run.folder.name}")
            else:
                prepared[name] = prepared_of(best, judge.rows)
                say(f"artifact {name}: {best.how} is taken, run {run.folder.name} does not diverge less")
        groups.append((source_of(source, run), names))
    made = _exported([(source, list(prepared)), *groups], size, say, prepared)
    order = [name for stage in stages for name in stage.weights]
    return sorted(made, key=lambda one: order.index(one["certificate"]["weights"]))


def _trained(stage: Stage, say: Say, carry: Carry) -> tuple[Run, float]:
    """The finished run of a stage, and the seconds that it took.

    Raises:
        FailedError: where it was stopped before its end.
    """
    lab = Lab(stage.wish.folder, say=say)
    if stage.is_done and stage.known is not None:
        report = AttemptReport.from_json(stage.known.result or {})
    else:
        report = carry(replace(stage.wish, started=time.monotonic()))
    run = lab.run(report.run)
    if report.status != "finished":
        at = f"at step {report.step:,} of {stage.wish.recipe.steps:,}"
        raise FailedError(f"run {run.folder.name} is {run.status} {at}, saved: repeat the command to go on")
    return run, sum(report.seconds_by_part.values())


class _Judge:
    """The model in floats with the rows that round it and those that judge."""

    def __init__(self, source: Source, say: Say) -> None:
        spin_briefly()
        import hone.warm  # noqa: F401  (torch, with threads that sleep while they wait)

        self._say = say
        model = ModelFolder(source.model, TextTokenizer)
        found = rows_to_round_by(model, source.order["task"], source.order["data"], say)
        self._calibration, self._judged = reading_and_judging(*found)
        self._module = model.load()
        self.rows = len(self._calibration)

    def rounded(self, weights: str) -> list[Offer]:
        """Every way of rounding to a format."""
        import torch

        from hone.deploy.quantization.offered import offers

        torch.set_num_threads(1)
        return offers(
            self._module, weights, self._calibration, self._judged, say=lambda line: self._say(f"artifact {line}")
        )

    def trained(self, folder: Path, seconds: float) -> Offer:
        """What a trained model gives."""
        import torch

        from hone.deploy.quantization.offered import offer_of_trained

        torch.set_num_threads(1)
        return offer_of_trained(self._module, ModelFolder(folder, TextTokenizer).load(), self._judged, seconds)


def _exported(
    groups: Sequence[tuple[Source, Sequence[str]]], size: str, say: Say, prepared: Mapping[str, Prepared]
) -> list[dict[str, Any]]:
    """The artifacts of each run; what cannot be made of one keeps none of another.

    Raises:
        FailedError: with all failures.
    """
    made, failures = [], []
    for source, names in groups:
        try:
            made += export_each(source, names, size, say, prepared=prepared) if names else []
        except FailedError as error:
            failures.append(str(error))
    if failures:
        whole = ", ".join(Path(one["path"]).name for one in made)
        raise FailedError("; ".join(failures) + (f"; made and certified: {whole}" if made else ""))
    return made
