"""``result.json``: what came of a solve, in figures that the artifact and the sealed test gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hone.solving.state import SolveState
from hone.task.scores import Score
from hone.task.spec import Task

RESULT_FILE = "result.json"
MEASURED = ("size_mb", "ram_mb", "interpreter_mb", "first_token_ms", "ms_per_token")


def result_of(
    task: Task, folder: Path, state: SolveState, record: dict[str, Any], made: dict[str, Any], test: dict[str, Any]
) -> dict[str, Any]:
    """The figures of a solve that has an artifact.

    Args:
        task: names metric and target.
        folder: the task folder, to which the artifact's path is relative.
        state: baselines and attempts.
        record: the attempt that was exported.
        made: the artifact: path, certificate, evaluation on dev.
        test: the artifact's evaluation on the sealed test.
    """
    score = Score.from_json(made["evaluation"]["scores"][task.metric])
    test_score = Score.from_json(test["scores"][task.metric])
    exact = made["evaluation"]["scores"].get("exact_match")
    return {
        "metric": task.metric,
        "target": task.target,
        **_figures(score, ""),
        "n": score.n,
        **_figures(test_score, "test_"),
        "test_n": test_score.n,
        "test_readings": test["readings"],
        **({"exact_match": round(exact["mean"], 4)} if exact else {}),
        **_ood(task, made),
        "scores": made["evaluation"]["scores"],
        "test_scores": test["scores"],
        "baselines": {item["name"]: item["score"] for item in state.value("baselines")},
        "attempts": len([item for item in state.attempts if not item.get("subset")]),
        "run": record["run"],
        "artifact": str(Path(made["path"]).relative_to(folder)),
        **_measured(made["certificate"]),
        "within_budget": made["within"],
        "over_budget": made["over"],
        "device_class": task.device.device_class,
        "parity": _parity(made["certificate"]),
    }


def _measured(certificate: dict[str, Any]) -> dict[str, float | None]:
    """The device's figures; an encoder has no time per token."""
    found = {key: certificate["measured"][key] for key in MEASURED}
    return {key: None if value is None else round(value, 3) for key, value in found.items()}


def _figures(score: Score, prefix: str) -> dict[str, float]:
    return {
        f"{prefix}score": round(score.mean, 4),
        f"{prefix}low": round(score.low, 4),
        f"{prefix}high": round(score.high, 4),
    }


def _ood(task: Task, made: dict[str, Any]) -> dict[str, Any]:
    """The score on rows from elsewhere, where the task names some."""
    if not made.get("ood"):
        return {}
    score = Score.from_json(made["ood"]["scores"][task.metric])
    return {**_figures(score, "ood_"), "ood_n": score.n}


def _parity(certificate: dict[str, Any]) -> dict[str, Any]:
    """The certificate's comparison with the original; ``greedy_equal`` counts near ties as equal, as it says there.

    It is None of an encoder, which writes nothing.
    """
    parity = certificate["parity"]
    return {
        "status": certificate["status"],
        "kld_mean": parity["kld_mean"],
        "same_top": parity["same_top_or_tie"],
        "greedy_equal": parity["greedy_agree_share"] == 1.0 if parity["greedy_prompts"] else None,
    }
