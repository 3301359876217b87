"""The end of a run: the best weights saved and scored on all of dev, and what is to be said of the training."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from hone.attempts.before import Start
from hone.attempts.bench import Bench, Say
from hone.attempts.encoding import calibrate_on_dev
from hone.attempts.last_scoring import last_scoring
from hone.attempts.report import AttemptReport
from hone.attempts.saving import save_model
from hone.attempts.timed_judging import OnEvent, TimedJudge, stage
from hone.hardware import peak_rss_bytes
from hone.lab.run import Run
from hone.wording import counted

if TYPE_CHECKING:
    from torch import nn

    from hone.train.records import Evaluated, FitResult

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
    common = _common(run, bench, result, start)
    _log_figures(run, result, start)
    if not keep:
        last = result.evaluations[-1] if result.evaluations else None
        loss = last.numbers.get("dev_loss") if last else None
        score = last.score if last else None
        return AttemptReport(**common, score=score, dev_loss=loss, peak_rss_bytes=peak_rss_bytes())
    loaded = _load_best(model, result, bench.recipe.base, say)
    on_event(stage("calibrating on dev and saving"))
    calibrated = calibrate_on_dev(bench, model, say)
    calibration = None if calibrated is None else calibrated.calibration
    save_model(bench, model, run.model, calibration)
    if chosen := _chosen_on_dev(bench, result):
        say(FLATTERED.format("; ".join(chosen)))
    # What was measured on the way is of other weights where the last are kept.
    known = timed.judge.best if loaded else None
    evaluation, loss = last_scoring(bench, model, timed, known, say, on_event, calibrated)
    for note in evaluation.notes:
        say(f"scored: {note}")
    # What a paired comparison needs: the metric on each row, aligned with the dev rows (or windows of them).
    on_event({"kind": "scored", "values": [answer.value for answer in evaluation.answers]})
    report = AttemptReport(
        **common,
        score=evaluation.scores[evaluation.metric],
        dev_loss=loss,
        scores=dict(evaluation.scores),
        peak_rss_bytes=peak_rss_bytes(),
        kept_step=result.best.step if loaded and result.best is not None else result.step,
        chosen_on_dev=chosen,
        model=str(run.model),
        slices=[asdict(item) for item in evaluation.slices[:8]],
        worst=[asdict(item) for item in evaluation.worst[:8]],
        calibration=calibration.to_json() if calibration is not None else {},
    )
    return replace(report, diagnosis=_diagnosis(run), distance=_distance(model, start, on_event))


def _chosen_on_dev(bench: Bench, result: FitResult) -> list[str]:
    """What of the kept model was chosen on the dev rows that it is scored on; a threshold decides other ones."""
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
    return chosen


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


def _load_best(model: nn.Module, result: FitResult, base: str, say: Say) -> bool:
    """Put the best weights into the model; whether they are there now, as otherwise the last ones are kept."""
    best = result.best
    # Nothing was judged after step 0 where the time was up early: the last weights are the better guess then.
    if result.best_weights is None or (best is not None and best.step == 0 < result.step and not _trained(result)):
        return False
    from hone.train.checkpoints import load_weights

    load_weights(model, result.best_weights)
    if line := _worse_line(result, base):
        say(line)
    return True


def _worse_line(result: FitResult, base: str) -> str:
    """A sentence where the best weights are those that the training began with, else empty."""
    best, trained = result.best, _trained(result)
    if best is None or best.step > 0 or not trained:
        return ""
    last = trained[-1]
    return (
        f"training made it worse: the base {base} itself is kept, with {best.score.name} {best.score.mean:.4g} at step "
        f"0; none of the {counted(len(trained), 'evaluation')} behind it was as good, the last one, at step "
        f"{last.step:,}, had {last.score.mean:.4g}; a lower learning_rate or fewer steps may help"
    )


def _trained(result: FitResult) -> list[Evaluated]:
    """The evaluations behind the first step."""
    return [item for item in result.evaluations if item.step > 0]
