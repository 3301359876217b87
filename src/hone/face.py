"""The Python face: the same acts as the command line, as functions.

``solve`` starts worker processes, so a script that calls it needs the usual guard::

    if __name__ == "__main__":
        result = hone.solve("voice", minutes=8)
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, cast

from hone.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hone.attempts import AttemptReport
    from hone.deploy.runtime import Session
    from hone.evaluate.generate import Sampling
    from hone.serve.answering import Answer
    from hone.serve.wishes import Wish
    from hone.solving.show import Show
    from hone.task.recipe import Recipe
    from hone.task.render import Renderer

Say = Callable[[str], None]


def solve(folder: str | Path, *, minutes: float = 30, seed: int = 0, quiet: bool = True) -> dict[str, Any]:
    """Hone a model until the task of a folder is solved, or the box of ``minutes`` ends.

    Args:
        folder: the task folder.
        minutes: the box, over all calls for this task, data and seed: a later call goes on.
        seed: of everything random.
        quiet: False prints the lines of the solve on standard error.

    Returns:
        What is written to ``result.json``; ``result["solved"]`` is the verdict.

    Raises:
        InputError: wrong input, all problems at once. FailedError, BusyError. KeyboardInterrupt, with everything saved.
    """
    from hone.smoke.whole_way import smoke
    from hone.solving.loop import solve as solve_folder
    from hone.solving.show import Silent

    show: Show = Silent() if quiet else _lines()
    return solve_folder(Path(folder), minutes=minutes, seed=seed, show=show, smoke=smoke)


def attempt(  # noqa: PLR0913  (two things are needed; the others are named and have defaults)
    folder: str | Path,
    recipe: Recipe,
    *,
    name: str = "attempt",
    minutes: float | None = None,
    pause_after: float | None = None,
    sizes: Sequence[str] = (),
    parent: int | str | None = None,
    hypothesis: str = "",
    trackers: Sequence[str] = (),
    say: Say | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> AttemptReport:
    """Carry out one recipe on a task folder as a run of its lab; in this process, unless it has several of its own.

    A run of the same name, recipe and data that was not finished is gone on with; a finished one gives its report.

    Args:
        folder: the task folder.
        recipe: what to carry out; its ``data`` is filled in.
        name: of the run.
        minutes: a box that the whole call is planned to end with: steps and evaluations follow from it.
        pause_after: after so many minutes the run is saved and stops; the same call goes on.
        sizes: bases from scratch (``scratch:1m``, ...) that a box may choose among.
        parent: run from which this recipe differs by one change.
        hypothesis: why the change should help.
        trackers: mirrors of the run, see :class:`hone.Lab`.
        say: takes each line that a person should read.
        on_event: takes steps and evaluations as they come.
        should_stop: asked before each step.

    Raises:
        InputError: wrong task, data or recipe. FailedError: non-finite values, a full disk. BusyError.
    """
    from hone.solving.single import Wish, carry
    from hone.solving.watched import Watched

    wish = Wish(
        folder=Path(folder),
        recipe=recipe,
        name=name,
        minutes=minutes,
        pause_after=pause_after,
        sizes=tuple(sizes),
        parent=parent,
        hypothesis=hypothesis,
        trackers=tuple(trackers),
    )
    _ready_torch()
    watched = Watched(say=say or _unsaid, on_event=on_event or _unsaid, should_stop=should_stop or (lambda: False))
    return carry(wish, watched, forked=False)


def export(
    folder: str | Path,
    run: int | str = "best",
    weights: str = "q8_0",
    *,
    size: Literal["quick", "full"] = "quick",
    calibrate: Literal["auto", "none", "importance", "gptq", "train"] = "auto",
    train_steps: int | None = None,
    embedding: str = "",
    head: str = "",
    say: Say | None = None,
) -> Path:
    """Export a run's model to an artifact that its own runtime certified; the artifact's folder.

    Everything that an application needs lies in it, the certificate too (size, memory, times, parity with the original,
    score on dev). Over the device's budget is said there and by ``say``, and is no error.

    Args:
        folder: the task folder.
        run: number, name, or ``best``.
        weights: a format of :data:`hone.deploy.weights.FORMATS`; it says for which runtime.
        size: of the certificate: ``quick`` (64 dev rows) or ``full`` (all of dev, more positions and timed runs).
        calibrate: how matrices are rounded below 8 bits: to nearest, by what the training rows give them to read, or by
            the way of these that is closest to the model on dev. ``train`` also trains a second stage on the grid, a
            run of its own (an unfinished one is gone on with, a finished one found), whose model is exported if it
            is closer still.
        train_steps: of that stage; 300 by default, or as many as the run had.
        embedding: the kind that the embedding is stored in; as the format says by default.
        head: the kind of an output layer that is a matrix of its own.
        say: takes each line that a person should read.

    Raises:
        InputError: no such run, no model in it yet, or another data version now than it was trained on.
        FailedError: when the artifact does not match the model; nothing is left then.
    """
    from hone.deploy.apart import Apart
    from hone.solving.exporting import export_each, formats_asked, run_source
    from hone.solving.second_stage import export_trained, source_and_stages
    from hone.solving.single import carry
    from hone.solving.watched import Watched

    apart = Apart(embedding=tuple(filter(None, [embedding])), head=tuple(filter(None, [head])))
    names = formats_asked(weights=[weights])  # an unknown one is said before anything is computed
    tell = say or _unsaid
    source, stages = source_and_stages(
        lambda: run_source(Path(folder), run, None, tell), names, calibrate, steps=train_steps, apart=apart
    )
    if stages:
        made = export_trained(source, stages, size, tell, lambda wish: carry(wish, Watched(say=tell), forked=False))
    else:
        made = export_each(source, names, size, tell, calibrate=calibrate, apart=apart)
    return Path(made[0]["path"])


def load(artifact: str | Path, *, threads: int = 1, say: Say | None = None) -> Model:
    """Open an artifact with its own runtime, in this process and without torch; or a model folder, with torch.

    The stored examples are rendered again first; at a different id the model is refused (law 4).

    Args:
        artifact: an artifact's folder or model file, or the model folder of a run (``runs/0001-default/model``).
        threads: CPU threads.
        say: takes a line where the artifact is not certified; without it the line is a warning.

    Raises:
        InputError: no such file, or nothing that hone can open. FailedError: it is damaged, or renders differently.
    """
    from hone.deploy.artifact.folder import is_artifact

    path = Path(artifact)
    if path.is_dir() and not is_artifact(path):
        return _load_folder(path, threads)
    from hone.deploy.rendering import open_to_answer

    return Model(path, *open_to_answer(path, threads, say or _warn))


class Model:
    """A model that answers; made by :func:`load`. A context manager; not safe for several threads at once."""

    def __init__(self, path: Path, session: Session, renderer: Renderer) -> None:
        from hone.serve.answering import Answering
        from hone.task.templates import columns

        self.path, self.session, self.renderer = path, session, renderer
        self.columns: list[str] = columns(renderer.input_template)
        """Columns of the prompt, none for language-model."""
        self._answering = Answering(session, renderer)

    def ask(self, given: str | Mapping[str, Any]) -> Any:
        """The answer in the task's terms: an object (extract), a label (classify), a text; None when it is none.

        Args:
            given: the prompt's text, or a row's fields where the prompt is made of several columns.

        Raises:
            InputError: missing columns, or a prompt that leaves no room for an answer.
        """
        return self.generate(given).value

    def generate(
        self, given: str | Mapping[str, Any], *, max_new_tokens: int | None = None, sampling: Sampling | None = None
    ) -> Answer:
        """Like :meth:`ask`, with the text as written, why it ended, and the counts of tokens; sampled if asked to."""
        wish = _wish(given, max_new_tokens, sampling)
        return self._answering.answers(wish, self._answering.prompts(wish))[0]

    def probabilities(self, given: str | Mapping[str, Any]) -> dict[str, float]:
        """Labels with their probabilities, the likeliest first; they sum to 1 where a row has one label.

        Raises:
            InputError: when the task is not one of kind classify or multi-label.
        """
        import numpy as np

        if self.renderer.kind not in ("classify", "multi-label"):
            raise InputError(f"labels have probabilities in classify tasks; this model's kind is {self.renderer.kind}")
        prompts = self._answering.prompts(_wish(given))
        row = self.session.label_logprobs(prompts, self.renderer.label_ids)[0]
        shares = np.exp(row) if self.renderer.kind == "multi-label" else np.exp(row - row.max())
        shares = shares if self.renderer.kind == "multi-label" else shares / shares.sum()
        order = np.argsort(-shares, kind="stable")
        return {self.renderer.labels[int(index)]: float(shares[index]) for index in order}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, width): a vector for each text, of a model that gives vectors (``hone export ENCODER``).

        Raises:
            InputError: when the model gives something else, or a text is longer than its context.
        """
        wish = replace(_wish(""), inputs=tuple(texts))
        return self._answering.vectors(self._answering.prompts(wish))

    def close(self) -> None:
        """Free the model."""
        self.session.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass
class _TorchSession:
    """What :class:`Model` needs of a session, over a torch module."""

    context: int
    generate: Any
    label_logprobs: Any
    tag_logits: Any = None

    def close(self) -> None:
        """Let go of the module."""
        self.generate = self.label_logprobs = self.tag_logits = None


def _wish(given: str | Mapping[str, Any], max_new_tokens: int | None = None, sampling: Sampling | None = None) -> Wish:
    from hone.evaluate.generate import GREEDY
    from hone.serve.wishes import Wish

    return Wish(
        shape="completion",
        model=None,
        inputs=(given,),
        max_tokens=max_new_tokens,
        sampling=sampling or GREEDY,
        stream=False,
    )


def _load_folder(path: Path, threads: int) -> Model:
    from hone.data.tokenizer import TextTokenizer
    from hone.model.folder import ModelFolder
    from hone.task.encoding import EncoderRenderer

    folder = ModelFolder(path, TextTokenizer)
    renderer = folder.renderer()
    _ready_torch()
    import torch

    from hone.evaluate.torch_generate import TorchGenerate, TorchLabels

    torch.set_num_threads(threads)
    module = folder.load()
    context = int(folder.config["max_position_embeddings"])
    if isinstance(renderer, EncoderRenderer):
        from hone.evaluate.encoders import EncoderLabels, EncoderTags

        several = renderer.kind == "multi-label"
        labels = EncoderLabels(module, renderer.temperature, several=several)
        read = _TorchSession(context, None, labels, EncoderTags(module))
        return Model(path, cast("Session", read), renderer)
    session = _TorchSession(context, TorchGenerate(module, renderer.pad_id), TorchLabels(module))
    return Model(path, cast("Session", session), renderer)


def _lines() -> Show:
    from hone.solving.show import Silent

    class Lines(Silent):
        """Prints lines and headings on standard error."""

        def say(self, line: str) -> None:
            print(line, file=sys.stderr, flush=True)

        heading = say

    return Lines()


def _ready_torch() -> None:
    """What every process does that computes with torch: its threads sleep while they wait, and no bars are drawn."""
    from hone.processes import spin_briefly

    spin_briefly()
    import hone.warm  # noqa: F401


def _warn(line: str) -> None:
    warnings.warn(line, stacklevel=4)


def _unsaid(_: Any) -> None:
    """Takes what nobody wants to hear."""
