"""From the best model to a certified artifact within the device's budget, scored by its own runtime.

:func:`work` runs in a worker, because the original is a torch module; the artifact itself is always opened in
a fresh process without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hone.data.rows import Row
from hone.data.tokenizer import TextTokenizer
from hone.deploy.pool import FreshPool
from hone.deploy.rendering import renderer_of
from hone.errors import FailedError, InputError
from hone.evaluate.scoring import Evaluation, evaluate
from hone.hardware import usable_cores
from hone.processes import Channel
from hone.task.own_metric import load_metric
from hone.task.render import Renderer
from hone.task.spec import Task

if TYPE_CHECKING:
    from hone.deploy.certificate.certify import Certificate, Witness
    from hone.model.folder import ModelFolder

FORMATS = ("q8_0", "f16", "f32", "q5_0", "q4_0")
COMPARED_ROWS = 32
"""Dev rows whose answers are compared position by position with the original."""
ID_TEXTS = 100
"""Dev prompts whose ids are compared besides the awkward texts."""
PARALLEL = 32


def work(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    """Export, certify, score on dev. ``order``: folder, model, name, task, data, longest_answer, formats (optional).

    Returns:
        ``path``, ``certificate`` and ``evaluation`` of the artifact that was kept, ``ood`` likewise where the task has
        such rows; ``within`` says whether it keeps the device's budget, ``over`` which limits it breaks.

    Raises:
        FailedError: when no format gives an artifact that matches its original.
    """
    import torch

    from hone.model.folder import ModelFolder

    torch.set_num_threads(1)
    task: Task = order["task"]
    load_metric(task.metric, Path(order["folder"]))
    model = ModelFolder(Path(order["model"]), TextTokenizer)
    dev: Sequence[Row] = order["data"].dev
    witness = _witness(model, task, dev, order)
    names = order.get("formats") or _formats(model.path, task)

    def say(line: str) -> None:
        channel.send({"kind": "line", "line": f"artifact {line}"})

    path, certificate = _first_within(model.path, names, order, witness, say)
    evaluation = score_artifact(path, task, dev, order["longest_answer"])
    certificate = certificate.with_score(evaluation.score.to_json())
    certificate.write(path)
    ood: Sequence[Row] = order["data"].ood
    return {
        "path": str(path),
        "within": certificate.within_budget,
        "over": certificate.over_budget(),
        "certificate": certificate.to_json(),
        "evaluation": evaluation_json(evaluation),
        "ood": evaluation_json(score_artifact(path, task, ood, order["longest_answer"])) if ood else None,
    }


def _first_within(
    model: Path, names: Sequence[str], order: dict[str, Any], witness: Witness, say: Callable[[str], None]
) -> tuple[Path, Certificate]:
    """The first certified artifact within the budget, else the one that breaks fewest limits; the others are removed.

    Raises:
        FailedError: when no format gives an artifact that matches the model.
    """
    from hone.deploy.certificate.certify import certificate_path
    from hone.deploy.certificate.exporting import export_certified

    made: list[tuple[Path, Certificate]] = []
    failures: list[str] = []
    for name in names:
        out = Path(order["folder"]) / "artifacts" / f"{order['name']}-{name}.gguf"
        try:
            certificate = export_certified(model, out, name, order["task"].device, witness)
        except (FailedError, InputError) as error:
            failures.append(f"{name}: {error}")
            say(failures[-1])
            continue
        made.append((out, certificate))
        say(f"{name}: certified, {'; '.join(certificate.over_budget()) or 'within the budget'}")
        if certificate.within_budget:
            break
    if not made:
        raise FailedError("no weight format gave an artifact that matches the model: " + " | ".join(failures))
    kept = min(made, key=lambda item: len(item[1].over_budget()))
    for out, _ in made:
        if out != kept[0]:
            out.unlink(missing_ok=True)
            certificate_path(out).unlink(missing_ok=True)
            say(f"{out.name} is removed: {kept[0].name} fits better")
    return kept


def _witness(model: ModelFolder, task: Task, dev: Sequence[Row], order: dict[str, Any]) -> Witness:
    """What the artifact is compared with: the model in floats, over dev rows that it can answer."""
    from hone.deploy.certificate.certify import Witness
    from hone.deploy.certificate.original import original_of

    renderer = model.renderer()
    rows = [row for row in dev if _fits(task, renderer, row)]
    return Witness(
        renderer=renderer,
        examples=_examples(renderer, rows[:COMPARED_ROWS], task.device.context),
        original=original_of(model.load()),
        texts=_texts(task, renderer, rows),
        max_new_tokens=order["longest_answer"],
        hashes={"data": order["data"].id, **model.hone.get("hashes", {})},
    )


def score_artifact(path: Path, task: Task, rows: Sequence[Row], longest_answer: int) -> Evaluation:
    """Score an artifact on rows with its own runtime, in a fresh process per core. Needs no torch."""
    processes = min(usable_cores(), len(rows))
    with FreshPool(path, processes=processes, context=task.device.context, parallel=PARALLEL) as session:
        return evaluate(
            task,
            renderer_of(session),
            rows,
            generate=session.generate,
            labels=lambda prompts, ids: session.label_logprobs(prompts, ids).astype(np.float64),
            logprobs=session.token_logprobs,
            max_new_tokens=longest_answer,
        )


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


def _formats(model: Path, task: Task) -> list[str]:
    """Formats in the order in which they are tried: 8 bits first, smaller ones when that is over the size budget.

    Larger ones follow for a model that 8 bits harm.
    """
    from hone.deploy.certificate.exporting import formats_to_try

    fitting = {item.name for item in formats_to_try(model, task.device)}
    ordered = [name for name in FORMATS if name in fitting]
    return ordered or [FORMATS[-1]]


def _fits(task: Task, renderer: Renderer, row: Row) -> bool:
    return task.kind != "classify" or renderer.reference(row.fields) in renderer.labels


def _examples(renderer: Renderer, rows: Sequence[Row], context: int) -> list[Any]:
    from hone.data.tokens import windows

    found: list[Any] = []
    for row in rows:
        example = renderer.example(row.id, row.fields)
        found += [example] if len(example.ids) <= context else windows(example, context)
        if len(found) >= COMPARED_ROWS:
            break
    return found[:COMPARED_ROWS]


def _texts(task: Task, renderer: Renderer, rows: Sequence[Row]) -> list[str]:
    if task.kind == "language-model":
        return [renderer.reference(row.fields)[:2000] for row in rows[:ID_TEXTS]]
    return [" " + renderer.prompt_text(row.fields) for row in rows[:ID_TEXTS]]
