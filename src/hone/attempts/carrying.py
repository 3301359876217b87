"""One recipe carried out in its run folder: trained, judged, its best model kept and scored."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.attempts.bench import Bench, Say, build_model, prepare_bench, source_of
from hone.attempts.judging import Judge, dev_loss, score_model
from hone.attempts.report import AttemptReport
from hone.attempts.saving import save_model
from hone.data.prepare import DataVersion
from hone.lab.run import Run
from hone.processes import Channel
from hone.task.own_metric import load_metric
from hone.task.recipe import Recipe
from hone.task.spec import Task

if TYPE_CHECKING:
    from torch import nn

    from hone.train.records import StepRecord


def carry_out(  # noqa: PLR0913  (five things are needed; the others are named and have defaults)
    run: Run,
    task: Task,
    data: DataVersion,
    recipe: Recipe,
    cache: Path,
    *,
    until_step: int | None = None,
    say: Say = lambda line: None,
    say_data: Say | None = None,
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
    time_is_up: Callable[[], bool] = lambda: False,
) -> AttemptReport:
    """Train one recipe in its run folder, resuming what is there, up to its end or ``until_step``.

    The best model by the task's metric is kept in ``run.model``, saved before it is scored on all dev rows. A run that
    ``should_stop`` ended has a model only where ``time_is_up`` says that nobody will take it further for now.

    ``say_data`` takes the lines on tokenizer and tokens where somebody has said them already.

    Raises:
        InputError: wrong data or recipe. FailedError: non-finite values, a full disk.
    """
    import torch

    from hone.train.engine import fit

    torch.set_num_threads(recipe.threads)
    bench = prepare_bench(task, data, recipe, cache, say if say_data is None else say_data)
    model = build_model(recipe, bench.tokenizer, data.labels)
    judge = Judge(bench, run, on_event)
    with run.working():
        result = fit(
            model,
            source_of(bench),
            recipe,
            run.folder,
            evaluate=judge,
            until_step=until_step,
            on_step=_Reporter(run, recipe, on_event),
            should_stop=should_stop,
            say=say,
        )
        keep = result.status == "finished" or (result.status == "stopped" and result.step > 0 and time_is_up())
        report = _report(run, bench, model, result, keep, on_event)
        if result.status == "finished":
            run.finish({**report.to_json(), "recipe_id": recipe.id})
    return report


def work(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    """:func:`carry_out` in a worker: events go up the channel, the report comes back as plain values."""
    from hone.lab.lab import Lab

    folder = Path(order["folder"])
    # A metric of the user's own is a file of the task folder: imported here it is found by its name alone.
    load_metric(order["task"].metric, folder)
    lab = Lab(folder, trackers=order.get("trackers", ()), say=lambda line: channel.send({"kind": "line", "line": line}))
    report = carry_out(
        lab.run(order["run"]),
        order["task"],
        order["data"],
        order["recipe"],
        folder / ".hone" / "cache",
        until_step=order.get("until_step"),
        say=lambda line: channel.send({"kind": "line", "line": line}),
        say_data=(lambda line: None) if order.get("data_was_said") else None,
        on_event=channel.send,
        should_stop=channel.should_stop,
        time_is_up=lambda: channel.time_is_up,
    )
    return report.to_json()


class _Reporter:
    """Writes every tenth step down and sends two a second up."""

    def __init__(self, run: Run, recipe: Recipe, on_event: Callable[[dict[str, Any]], None]) -> None:
        self.run, self.recipe, self.on_event = run, recipe, on_event
        self._sent = 0.0

    def __call__(self, record: StepRecord) -> None:
        if record.step % 10 == 0 or record.step == self.recipe.steps:
            values = record.to_json()
            self.run.log(values.pop("step"), **values)
        now = time.monotonic()
        if now - self._sent >= 0.5 or record.step == self.recipe.steps:
            self._sent = now
            self.on_event({"kind": "step", "steps": self.recipe.steps, **record.to_json()})


def _report(
    run: Run, bench: Bench, model: nn.Module, result: Any, keep: bool, on_event: Callable[[dict[str, Any]], None]
) -> AttemptReport:
    from hone.hardware import peak_rss_bytes

    rate = result.tokens / result.seconds if result.seconds else 0.0
    last = result.evaluations[-1] if result.evaluations else None
    common: dict[str, Any] = {
        "run": run.number,
        "status": result.status,
        "step": result.step,
        "train_loss": _recent_loss(run, result.loss),
        "longest_answer": bench.longest_answer,
        "seconds": round(result.seconds, 2),
        "tokens_per_second": round(rate, 1),
    }
    if not keep:
        loss = last.numbers.get("dev_loss") if last else None
        return AttemptReport(
            **common, score=last.score if last else None, dev_loss=loss, peak_rss_bytes=peak_rss_bytes()
        )
    # Nothing was judged after step 0 where the time was up early: the last weights are the better guess then.
    untrained = result.best is not None and result.best.step == 0 and result.step > 0
    if not untrained:
        _load_best(model, result)
    save_model(bench, model, run.model)
    evaluation = score_model(bench, model, bench.data.dev)
    # What a paired comparison needs: the metric on each row, aligned with the dev rows (or windows of them).
    on_event({"kind": "scored", "values": [answer.value for answer in evaluation.answers]})
    return AttemptReport(
        **common,
        score=evaluation.scores[evaluation.metric],
        dev_loss=dev_loss(model, bench.dev),
        scores=dict(evaluation.scores),
        peak_rss_bytes=peak_rss_bytes(),
        model=str(run.model),
        slices=[asdict(item) for item in evaluation.slices[:8]],
        worst=[asdict(item) for item in evaluation.worst[:8]],
    )


def _recent_loss(run: Run, last: float | None, steps: int = 10) -> float | None:
    """Mean training loss over the last ten logged steps: one batch alone says little."""
    losses = [row["loss"] for row in run.metrics() if "loss" in row][-steps:]
    return sum(losses) / len(losses) if losses else last


def _load_best(model: nn.Module, result: Any) -> None:
    if result.best_weights is None:
        return
    from hone.train.checkpoints import load_weights

    load_weights(model, result.best_weights)
