"""The end of a run: the best weights saved and scored on all of dev, and what is to be said of the training."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from hone.attempts.before import Start
from hone.attempts.bench import Bench, Say
from hone.attempts.boxed import Box
from hone.attempts.encoding import calibrate_on_dev
from hone.attempts.judging import Written, dev_loss, score_model
from hone.attempts.rationing import writes
from hone.attempts.report import AttemptReport
from hone.attempts.saving import save_model
from hone.attempts.timed_judging import TimedJudge, stage
from hone.lab.run import Run
from hone.wording import counted

if TYPE_CHECKING:
    from torch import nn

    from hone.evaluate.calibration import Calibration
    from hone.evaluate.scoring import Evaluation
    from hone.train.records import FitResult

OnEvent = Callable[[dict[str, Any]], None]
WORTH_IT, CAREFUL = 0.4, 0.8
"""More rows are scored where at least so much of the time of those before is left; and how much of it they may take."""
FLATTERED = (
    "the score on dev flatters a little, as these were chosen on rows of it: {}; rows on which nothing was chosen, "
    "such as a test set, tell without"
)


def conclude(
    run: Run,
    bench: Bench,
    model: nn.Module,
    result: FitResult,
    on_event: OnEvent,
    *,
    keep: bool,
    start: Start,
    say: Say,
    timed: TimedJudge,
) -> AttemptReport:
    """The report of a call of ``fit``; with ``keep`` the best weights are saved first, then scored on all of dev.

    Args:
        run: takes the model folder and the figures.
        bench: what was trained on.
        model: holds the last weights; with ``keep`` the best ones behind the call.
        result: how the training ended.
        on_event: takes the metric of each dev row.
        keep: whether this is an end.
        start: what was known before the first step.
        say: takes a line on a classifier's calibration, and one where a box has no time for all of dev.
        timed: what judged on the way; it is not asked twice about the same weights.
    """
    from hone.hardware import peak_rss_bytes

    common = _common(run, bench, result, start)
    _log_figures(run, result, start)
    if not keep:
        last = result.evaluations[-1] if result.evaluations else None
        loss = last.numbers.get("dev_loss") if last else None
        score = last.score if last else None
        return AttemptReport(**common, score=score, dev_loss=loss, peak_rss_bytes=peak_rss_bytes())
    if line := _load_best(model, result, bench.recipe.base):
        say(line)
    on_event(stage("calibrating on dev and saving"))
    calibration = calibrate_on_dev(bench, model, say)
    save_model(bench, model, run.model, calibration)
    if chosen := _chosen_on_dev(bench, result, calibration):
        say(FLATTERED.format("; ".join(chosen)))
    kept_step = result.best.step if result.best is not None and not result.best.undone and calibration is None else None
    evaluation, loss = _last_scoring(bench, model, timed, kept_step, say, on_event)
    for note in evaluation.notes:
        say(f"scored: {note}")
    # What a paired comparison needs: the metric on each row, aligned with the dev rows (or windows of them).
    on_event({"kind": "scored", "values": [answer.value for answer in evaluation.answers]})
    report = AttemptReport(
        **common,
        score=evaluation.scores[evaluation.metric],
        dev_loss=loss,
        scores=dict(evaluation.scores),
        chosen_on_dev=chosen,
        peak_rss_bytes=peak_rss_bytes(),
        model=str(run.model),
        slices=[asdict(item) for item in evaluation.slices[:8]],
        worst=[asdict(item) for item in evaluation.worst[:8]],
        calibration=calibration.to_json() if calibration is not None else {},
    )
    return replace(report, diagnosis=_diagnosis(run), distance=_distance(model, start, on_event))


def _chosen_on_dev(bench: Bench, result: FitResult, calibration: Calibration | None) -> list[str]:
    """What of the kept model was chosen on dev rows."""
    from hone.train.records import UNDONE

    candidates, best = sum(item.candidate for item in result.evaluations), result.best
    chosen = []
    if best is not None and candidates > 1:
        rows, judged = len(bench.data.dev), min(len(bench.data.dev), bench.recipe.eval_rows)
        score = best.score if best.full is None else best.full
        of_all = counted(rows, "row")
        on = f"all {of_all}" if best.full is not None or judged == rows else f"{judged:,} of {of_all} alone"
        chosen.append(
            f"the weights of step {best.step:,}, the best of {candidates:,} evaluations by {score.name} on {on} "
            f"({score.mean:.3g} [{score.low:.3g}, {score.high:.3g}]{UNDONE if best.undone else ''})"
        )
    if calibration is not None and bench.task.kind == "multi-label":
        chosen.append(f"the threshold {calibration.threshold:.2f}")
    return chosen


def _last_scoring(
    bench: Bench,
    model: nn.Module,
    timed: TimedJudge,
    kept_step: int | None,
    say: Say,
    on_event: OnEvent,
) -> tuple[Evaluation, float]:
    """The kept weights scored on all of dev and their loss there; in a box on as many rows as there is time for.

    What was measured on the way is taken where it was on these weights, those of ``kept_step``, and on as many rows.
    """
    rows, judge, box = bench.data.dev, timed.judge, timed.box
    known = judge.last if judge.last is not None and judge.last.step == kept_step else None
    on_the_way = len(judge.rows_at(kept_step)) if known is not None and kept_step is not None else 0
    count = len(rows) if box is None else box.affords(len(rows), min(len(rows), bench.recipe.eval_rows))
    if judge.on_all is not None and judge.on_all[0] == kept_step:
        evaluation = judge.on_all[1]
    elif known is not None and count <= on_the_way:
        evaluation, count = known.evaluation, on_the_way
    else:
        on_event(stage(f"scoring on {count:,} dev rows", timed.expected_s(count, whole_loss=known is None)))
        written = Written() if known is None else known.written
        evaluation, count = _scored(bench, model, box, written, count, count - on_the_way)
    if count < len(rows):
        say(f"scored on {count:,} of {len(rows):,} dev rows: the box has no time for more")
    if known is not None and (known.loss_rows == len(bench.dev) or count < len(rows)):
        return evaluation, known.loss
    return evaluation, dev_loss(model, bench.dev)


def _scored(
    bench: Bench, model: nn.Module, box: Box | None, written: Written, count: int, new: int
) -> tuple[Evaluation, int]:
    """So many dev rows scored, and in a box more of them as long as there is time; with how many there were.

    ``new`` of them are not in ``written``. Only answers that were written are not computed again with more rows.
    """
    rows = bench.data.dev
    while True:
        begin = time.monotonic()
        evaluation = score_model(bench, model, rows[:count], written)
        took = time.monotonic() - begin
        if box is None or count == len(rows) or not writes(bench):
            return evaluation, count
        left = box.scoring_left_s()
        if left < WORTH_IT * took:
            return evaluation, count
        new = max(1, int(new * min(3.0, CAREFUL * left / max(1e-9, took))))
        new = min(new, len(rows) - count)
        count += new


def _common(run: Run, bench: Bench, result: FitResult, start: Start) -> dict[str, Any]:
    """What every report says, of an end or of a pause."""
    rate = result.tokens / result.seconds if result.seconds else 0.0
    return {
        "run": run.number,
        "status": result.status,
        "step": result.step,
        "train_loss": _recent_loss(run, result.loss),
        "longest_answer": bench.longest_answer,
        "seconds": round(result.seconds, 2),
        "tokens_per_second": round(rate, 1),
        "tokens": result.tokens,
        "train_rows": len(bench.train),
        "reason": result.reason,
        "seconds_by_part": dict(result.seconds_by_part),
        "peak_bytes": result.peak_bytes,
        "estimated_bytes": start.estimated_bytes,
    }


def _diagnosis(run: Run) -> dict[str, Any]:
    """What the curves say, without the curves themselves: those stay in the run's folder."""
    from hone.attempts.diagnosing import diagnose_run

    found = diagnose_run(run)
    return {key: found[key] for key in ("verdict", "rate", "slow", "memory")}


def _distance(model: nn.Module, start: Start, on_event: OnEvent) -> dict[str, Any] | None:
    """How far the kept weights are from their base; its files must be those that were opened."""
    if start.base is None:
        return None
    from hone.model.distance import distance

    on_event(stage("measuring its distance from the base"))
    start.base.check_unchanged()
    found = distance(start.base, model)
    return {**found.to_json(), "lines": found.lines()}


def _log_figures(run: Run, result: FitResult, start: Start) -> None:
    """Seconds by part, memory and computed padding, where the diagnosis of a run finds them though it was stopped."""
    values: dict[str, float | None] = {f"seconds_{part}": value for part, value in result.seconds_by_part.items()}
    if result.peak_bytes is not None:
        values["peak_bytes"] = result.peak_bytes
    values["estimated_bytes"] = start.estimated_bytes
    # The fused forward pass leaves padding out before the first layer.
    values["padding_share"] = 0.0 if result.used.get("forward") == "fused" else start.padding_share
    run.log(result.step, **values)


def _recent_loss(run: Run, last: float | None, steps: int = 10) -> float | None:
    """Mean training loss over the last ten logged steps: one batch alone says little."""
    losses = [row["loss"] for row in run.metrics() if "loss" in row][-steps:]
    return sum(losses) / len(losses) if losses else last


def _load_best(model: nn.Module, result: FitResult, base: str) -> str:
    """Put the best weights into the model; a sentence where they are those that the training began with."""
    best = result.best
    trained = [item for item in result.evaluations if item.step > 0]
    # Nothing was judged after step 0 where the time was up early: the last weights are the better guess then.
    if result.best_weights is None or (best is not None and best.step == 0 < result.step and not trained):
        return ""
    from hone.train.checkpoints import load_weights

    load_weights(model, result.best_weights)
    if best is None or best.step > 0 or not trained:
        return ""
    last = trained[-1]
    return (
        f"training made it worse: the base {base} itself is kept, with {best.score.name} {best.score.mean:.4g} at step "
        f"0; none of the {counted(len(trained), 'evaluation')} behind it was as good, the last one, at step "
        f"{last.step:,}, had {last.score.mean:.4g}; a lower learning_rate or fewer steps may help"
    )
