"""From the best model to a certified artifact within the device's budget, scored by its own runtime.

:func:`work` runs in a worker, because the original is a torch module; the artifact itself is always opened in
a fresh process without torch.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.data.rows import Row
from hone.data.tokenizer import TextTokenizer
from hone.deploy.apart import NOTHING_APART
from hone.deploy.artifact.folder import describe, holds_encoder
from hone.deploy.certificate.scoring import session_scoring
from hone.deploy.measure import measured_here
from hone.deploy.pool import FreshPool, FreshReaders
from hone.deploy.rendering import renderer_of
from hone.deploy.weights import weight_format
from hone.errors import FailedError, InputError
from hone.evaluate.scoring import Evaluation, evaluate
from hone.hardware import usable_cores
from hone.model.plan import limits_of
from hone.processes import Channel
from hone.task.own_metric import load_metric
from hone.task.spec import Device, Task

if TYPE_CHECKING:
    from hone.deploy.certificate.certify import Certificate
    from hone.deploy.certificate.witness import Size

PARALLEL = 32


def work(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    """Export and certify in full, smaller formats until the device's budget holds.

    ``order``: folder, run, model, name, task, data, longest_answer, formats (optional).

    Returns:
        ``path``, ``certificate`` and ``evaluation`` of the artifact that was kept, ``ood`` likewise where the task has
        such rows; ``within`` says whether it keeps the device's budget (None: there is none), ``over`` what it breaks.

    Raises:
        FailedError: when no format gives an artifact that matches its original.
    """
    bench, task = Bench(channel, order, "full"), order["task"]
    path, certificate = _first_within(bench, order.get("formats") or formats_of_solve(bench.model.path, task.device))
    ood: Sequence[Row] = order["data"].ood
    assert certificate.evaluation is not None
    return {
        "path": str(path),
        "within": certificate.within_budget,
        "over": certificate.over_budget(),
        "certificate": certificate.to_json(),
        "evaluation": evaluation_json(certificate.evaluation),
        "ood": evaluation_json(score_artifact(path, task, ood, order["longest_answer"])) if ood else None,
    }


def work_each(channel: Channel, order: dict[str, Any], keep: Callable[[Path, dict[str, Any]], None]) -> dict[str, Any]:
    """Export and certify every format that is asked for; ``order`` as in :func:`work`, with ``size`` and ``out``.

    ``keep`` takes path and certificate of each as soon as it is there, whatever becomes of the next.

    Returns:
        ``made``: path and certificate of each; ``failures``: a sentence for each that does not match its original.
    """
    bench = Bench(channel, order, order["size"])
    made, failures = [], []
    for name in order["formats"]:
        try:
            path, certificate = bench.make(name)
        except (FailedError, InputError) as error:
            failures.append(str(error))
            continue
        told = certificate.to_json()
        made.append({"path": str(path), "certificate": told})
        keep(path, told)
    return {"made": made, "failures": failures}


class Bench:
    """One model with its witness, of which artifacts are made: the original answers once for all of them."""

    def __init__(self, channel: Channel, order: dict[str, Any], size: Size) -> None:
        import torch

        from hone.model.folder import ModelFolder
        from hone.solving.compared import bare_witness_of, witness_of
        from hone.solving.origin import bare_origin_of, origin_of

        torch.set_num_threads(1)
        self._channel, self.order, self.size = channel, order, size
        self.model = ModelFolder(Path(order["model"]), TextTokenizer)
        self.task: Task | None = order.get("task")
        self.out = Path(order.get("out") or Path(order["folder"]) / "artifacts")
        if self.task is None:
            self.device: Device = order["device"]
            self._witness = bare_witness_of(self.model, self.device.context)
            self._origin = bare_origin_of(self.model.path)
            return
        load_metric(self.task.metric, Path(order["folder"]))
        self.device = self.task.device
        self._witness = witness_of(self.model, self.task, order["data"], order["longest_answer"], size)
        self._origin = origin_of(
            self.task, Path(order["folder"]), order["data"], model=self.model.path, run=order["run"]
        )

    def make(self, name: str) -> tuple[Path, Certificate]:
        """The certified artifact in one weight format.

        Raises:
            InputError: when this model cannot be stored so. FailedError: when it does not match; nothing is left.
        """
        from hone.deploy.artifact.making import artifact_name, export_certified
        from hone.solving.calibrating import prepared_for

        prepared = prepared_for(self.model, name, self.order, self.say)
        apart, mixed = self.order.get("apart", NOTHING_APART), bool(self.order.get("mixed"))
        out = self.out / artifact_name(self.order["name"], weight_format(name), apart, mixed=mixed)
        before = out.exists()
        self.say(f"{name}: writing, opening and comparing it ({self.size} certificate)")
        certificate = export_certified(
            self.model.path,
            out,
            name,
            self.device,
            self._witness,
            prepared=prepared,
            origin=self._origin,
            size=self.size,
        )
        unknown = "nothing is known to be over the budget" if limits_of(self.device) else "and no budget is set"
        kept = unknown if certificate.within_budget is None else "within the budget"
        budget = "; ".join(
            filter(None, [*(certificate.over_budget() or [kept]), measured_here(self.device.device_class)])
        )
        self.say(f"{name}: certified, {budget}{f'; {out.name} of before is replaced' if before else ''}")
        return out, certificate

    def say(self, line: str) -> None:
        """A line for people."""
        self._channel.send({"kind": "line", "line": f"artifact {line}"})


def _first_within(bench: Bench, names: Sequence[str]) -> tuple[Path, Certificate]:
    """The first certified artifact within the budget, else the one that breaks fewest limits; the others are removed.

    After a format that does not match the model those with more bits come next, whose rounding loses less. After one
    over the budget only those with fewer: more bits take more memory, and are read longer.

    Raises:
        FailedError: when no format gives an artifact that matches the model.
    """
    made: list[tuple[Path, Certificate]] = []
    failures: list[str] = []
    left = list(names)
    while left:
        name = left.pop(0)
        fewer = [other for other in left if weight_format(other).bits < weight_format(name).bits]
        more = [other for other in left if other not in fewer]
        try:
            made.append(bench.make(name))
        except (FailedError, InputError) as error:
            failures.append(f"{name}: {error}")
            bench.say(failures[-1])
            left = [*more, *fewer]
            continue
        if not made[-1][1].over_budget():
            break
        if more:
            bench.say(f"{name} is over the budget, so {', '.join(more)} with more bits are not tried")
        left = fewer
    if not made:
        raise FailedError("no weight format gave an artifact that matches the model: " + " | ".join(failures))
    kept = min(made, key=lambda item: len(item[1].over_budget()))
    for out, _ in made:
        if out != kept[0]:
            shutil.rmtree(out, ignore_errors=True)
            bench.say(f"{out.name} is removed: {kept[0].name} fits better")
    return kept


def score_artifact(path: Path, task: Task, rows: Sequence[Row], longest_answer: int) -> Evaluation:
    """Score an artifact on rows with its own runtime, in a fresh process per core. Needs no torch."""
    processes, context = min(usable_cores(), len(rows)), task.device.context
    opened: FreshPool | FreshReaders
    if holds_encoder(describe(path)):
        opened = FreshReaders(path, processes=processes, context=context)
    else:
        opened = FreshPool(path, processes=processes, context=context, parallel=PARALLEL)
    with opened as session:
        renderer = renderer_of(session)
        return evaluate(task, renderer, rows, **session_scoring(renderer, session), max_new_tokens=longest_answer)


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """What is kept of an evaluation: scores, slices and a few of the worst rows."""
    return {
        "metric": evaluation.metric,
        "scores": {name: score.to_json() for name, score in evaluation.scores.items()},
        "n": evaluation.n,
        "seconds": round(evaluation.seconds, 2),
        "finished_share": evaluation.finished_share,
        "slices": [{**asdict(part), "line": part.line()} for part in evaluation.slices[:8]],
        "worst": [asdict(answer) for answer in evaluation.worst[:8]],
        "notes": list(evaluation.notes),
    }


def formats_of_solve(model: Path, device: Device) -> list[str]:
    """Formats in the order in which they are tried: 8 bits, then fewer, then more; the smallest where none fits."""
    from hone.deploy.artifact.making import formats_to_try

    fitting = formats_to_try(model, device)
    if not fitting:
        fitting = [min(formats_to_try(model, device.model_copy(update={"size_mb": None})), key=lambda one: one.bits)]
    return [one.name for one in fitting]
