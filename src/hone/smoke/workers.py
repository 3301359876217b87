"""What runs in forks of the warm process: the parts of the way that need torch.

Each takes ``(channel, order)``; an order holds ``folder``, ``run``, ``task``, ``data`` and ``recipe``, as
:func:`hone.attempts.work` takes them, and ``task_folder``, where a metric of the user's own is found.
``{"kind": "begins", "stage": ...}`` and ``{"kind": "ends"}`` tell the parent
where the seconds go.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hone import attempts
from hone.errors import FailedError
from hone.processes import Channel
from hone.smoke.crash import hold_in_save, state_name
from hone.smoke.shrink import SAVE_EVERY, STEPS
from hone.task.encoding import EncoderRenderer
from hone.task.own_metric import load_metric

WEIGHTS = "f16"
"""A barely trained model's answers are close to ties, which 8 bits may turn over for no fault of the exporter's.

Halves are held to narrower bounds than 8 bits, and always fit; ``hone solve`` certifies the format it ships.
"""


def ready(channel: Channel) -> None:
    """Do nothing: who can run this has the warm process's imports."""
    del channel


def train(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    """The uninterrupted run, to its end."""
    _open_metric(order)
    report = attempts.work(channel, order)
    channel.send({"kind": "ends"})
    return report


def train_until_killed(channel: Channel, order: dict[str, Any]) -> None:
    """The same recipe in another run; holds in its last save and waits there for the kill."""
    _open_metric(order)
    hold_in_save(STEPS, channel)
    attempts.work(channel, order)
    raise FailedError(f"the run came to its end; it was to be killed while it saved step {STEPS}")


def resume(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    """Go on with the killed run. ``order["half_written"]``: a run that has nothing but the half-written state.

    Raises:
        FailedError: when half a state is taken for a whole one, or the whole one before it is not found.
    """
    from hone.train.checkpoints import Checkpoints

    def say(line: str) -> None:
        channel.send({"kind": "line", "line": line})

    fooled = Checkpoints(Path(order["half_written"]) / "checkpoints", say).newest()
    if fooled is not None:
        raise FailedError(f"{fooled.folder} was written half and is taken for whole")
    newest = Checkpoints(Path(order["run_folder"]) / "checkpoints", say).newest()
    if newest is None or newest.folder.name != state_name(SAVE_EVERY):
        found = "none" if newest is None else newest.folder.name
        raise FailedError(f"the last whole state is {found}; {state_name(SAVE_EVERY)} was expected")
    return train(channel, order)


def score_and_export(channel: Channel, order: dict[str, Any]) -> dict[str, Any]:
    """Open the saved model folder again, score it, and make a certified artifact of it.

    ``order["score"]`` is what the trainer's own module scored, ``order["artifact"]`` the path to write.

    Raises:
        FailedError: when the folder does not score what the module did, or the artifact does not match it.
    """
    import torch

    from hone.data.tokenizer import TextTokenizer
    from hone.deploy.artifact.making import export_certified
    from hone.deploy.certificate.certify import Witness
    from hone.deploy.certificate.original import encoder_original_of, original_of
    from hone.model.folder import ModelFolder

    channel.send({"kind": "begins", "stage": "score"})
    _open_metric(order)
    torch.set_num_threads(1)
    task, data, cache = order["task"], order["data"], Path(order["folder"]) / ".hone" / "cache"
    bench = attempts.prepare_bench(task, data, order["recipe"], cache, lambda _: None)
    folder = ModelFolder(Path(order["model"]), TextTokenizer)
    module = folder.load()
    score = attempts.score_model(bench, module, data.dev).score
    if score.to_json() != order["score"]:
        raise FailedError(f"the saved model scores {score.to_json()}, the trained one scored {order['score']}")
    channel.send({"kind": "begins", "stage": "export"})
    renderer = folder.renderer()
    witness = Witness(
        renderer=renderer,
        examples=bench.dev[:],
        original=encoder_original_of(module) if isinstance(renderer, EncoderRenderer) else original_of(module),
        texts=[] if task.kind == "language-model" else [renderer.prompt_text(row.fields) for row in data.dev],
        max_new_tokens=min(order["longest_answer"], 32),
    )
    certificate = export_certified(folder.path, Path(order["artifact"]), WEIGHTS, task.device, witness)
    channel.send({"kind": "ends"})
    return certificate.to_json()


def _open_metric(order: dict[str, Any]) -> None:
    """Import the task's metric where it is a file of the task folder: by its name alone it is found from now on."""
    load_metric(order["task"].metric, Path(order["task_folder"]))
