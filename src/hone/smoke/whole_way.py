"""The whole way on a shrunken model: data, training, a kill, the resume, score, artifact, one served request.

What is independent runs side by side, in forks of the warm process: the uninterrupted run beside the one that is
killed, its artifact beside the resume. So the stages' seconds overlap, and the whole takes less than their sum.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hone import processes
from hone.attempts import prepare_bench
from hone.data.prepare import DataVersion
from hone.deploy.runtime import check_can_be_exported
from hone.errors import FailedError
from hone.files import locked
from hone.lab.lab import Lab
from hone.smoke import workers
from hone.smoke.crash import kill_in_save, same_end
from hone.smoke.serving import serve_one
from hone.smoke.shrink import SAVE_EVERY, STEPS, Shrunken, shrunken
from hone.task.scores import Score
from hone.task.spec import Task

STAGES = {
    "data": "rows, tokenizer, tokens",
    "train": "4 steps, uninterrupted, scored and saved",
    "crash": "the same, killed in the middle of a save",
    "resume": "on from the last whole state, to the same bits",
    "score": "the saved model opened again and scored",
    "export": "GGUF, reopened in a fresh process, parity",
    "serve": "one completion over HTTP",
}
"""What is done in each stage."""
Say = Callable[[str], None]


def smoke(folder: Path, task: Task, data: DataVersion, say: Say) -> dict[str, Any]:
    """Walk the whole way once, for real, on a shrunken model of this task.

    Args:
        folder: the task folder; everything is written under its ``.hone/smoke``, which is removed on success.
        task: the task.
        data: its data version; the test is not touched.
        say: takes one line per stage.

    Returns:
        ``ok`` (True), ``seconds`` of the whole, ``stages``: seconds of each, which overlap; ``model`` that was walked
        with, ``base`` that the task names, and ``stand_in``: what of that base was not tried, None where all was.

    Raises:
        FailedError: naming the stage, the reason and where its files are. BusyError: when another smoke runs here.
        InputError: for a task whose model no runtime can export.
    """
    check_can_be_exported(task)
    scratch = folder / ".hone" / "smoke"
    begin = time.monotonic()
    with locked(folder / ".hone" / "smoke.lock", f"the smoke run of {folder}"):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        way = Way(folder, scratch, task, data, say)
        way.walk()
        shutil.rmtree(scratch, ignore_errors=True)
    seconds = time.monotonic() - begin
    return {
        "ok": True,
        "model": way.small.recipe.base,
        "base": task.base,
        "stand_in": way.small.stand_in or None,
        "seconds": round(seconds, 2),
        "stages": {name: round(way.seconds[name], 2) for name in STAGES},
    }


class Way:
    """One walk: ``folder`` is the task's, ``scratch`` (which exists) takes all files.

    ``seconds`` are those of the stages so far; ``reference`` and ``killed`` the folders of the two runs.
    """

    def __init__(self, folder: Path, scratch: Path, task: Task, data: DataVersion, say: Say) -> None:
        self.folder, self.scratch, self.say = folder, scratch, say
        self.task, self.full = task, data
        self.seconds: dict[str, float] = {}
        self.artifact = scratch / "artifacts" / f"smoke-gguf-{workers.WEIGHTS}"
        self._workers: list[processes.Worker] = []
        self._open: dict[str, tuple[str, float]] = {}
        self._judged: list[int] = []

    def walk(self) -> None:
        """All stages."""
        with self._stage("data"):
            self.small = self._data()
        self.reference, self.killed = (self._new_run(name) for name in ("uninterrupted", "killed"))
        self._side_by_side()
        with self._stage("resume"):
            self._compare()
        with self._stage("serve"):
            answer = serve_one(self.artifact, self.small.data.dev[0], self.small.task.device.context)
            self.say(f"serve: one completion over HTTP, equal to the session's own: {answer[:60]!r}")

    # In this process.

    def _data(self) -> Shrunken:
        small = shrunken(self.task, self.full)
        bench = prepare_bench(small.task, small.data, small.recipe, self.scratch / ".hone" / "cache", self._log)
        what = "first beginnings of documents" if self.task.kind == "language-model" else "shortest rows"
        self.say(
            f"data: the {len(bench.train_rows)} and {len(small.data.dev)} {what} of a sample of train and dev, "
            f"{bench.tokenizer.vocab_size} tokens, context {small.recipe.context}; test stays sealed"
        )
        if small.stand_in:
            self.say(f"model: {small.stand_in}")
        return small

    def _new_run(self, name: str) -> Path:
        lab = Lab(self.scratch, say=self._log)
        return lab.new_run(
            self.small.recipe, self.task.name, self.small.data.id, name=name, metric=self.task.metric
        ).folder

    def _compare(self) -> None:
        """The killed and resumed run against the uninterrupted one."""
        if self._judged != [STEPS]:
            raise FailedError(
                f"the resumed run was judged after steps {self._judged}; going on from step {SAVE_EVERY} "
                f"leaves only {STEPS}: it began anew"
            )
        count = same_end(self.reference, self.killed, STEPS)
        self.say(f"resume: from step {SAVE_EVERY} to {STEPS}; all {count} tensors of the state equal bit for bit")

    @contextlib.contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """A stage in this process: its seconds, and a sentence for whatever fails in it."""
        begin = time.monotonic()
        try:
            yield
        except Exception as error:
            raise FailedError(self._failure(name, error)) from error
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begin

    def _failure(self, stage: str, reason: object) -> str:
        return f"smoke: the stage {stage} ({STAGES[stage]}) failed: {reason}\nIts files are kept in {self.scratch}"

    # In forks of the warm process.

    def _side_by_side(self) -> None:
        self._start("train", workers.train, self.reference)
        self._start("crash", workers.train_until_killed, self.killed)
        try:
            for item in processes.events(self._workers, timeout_s=0.1):
                if item is not None:
                    self._heard(*item)
                self._stop_at_failure()
            self._stop_at_failure()
        finally:
            for worker in self._workers:
                if not worker.done:
                    worker.kill()

    def _start(self, stage: str, work: Callable[..., Any], run: Path, **more: Any) -> None:
        order = {
            "task_folder": str(self.folder),
            "folder": str(self.scratch),
            "run": run.name,
            "run_folder": str(run),
            "task": self.small.task,
            "data": self.small.data,
            "recipe": self.small.recipe,
            **more,
        }
        self._open[stage] = (stage, time.monotonic())
        self._workers.append(processes.start(stage, work, order))

    def _heard(self, worker: processes.Worker, event: dict[str, Any]) -> None:
        kind = event["kind"]
        if kind == "line":
            self._log(f"{worker.name}: {event['line']}")
        elif kind == "saving":
            self._kill(worker)
        elif kind == "evaluated" and worker.name == "resume":
            self._judged.append(event["step"])
        elif kind == "begins":
            self._leave(worker.name)
            self._open[worker.name] = (event["stage"], time.monotonic())
        elif kind == "ends":
            self._leave(worker.name)

    def _leave(self, worker: str) -> None:
        stage, since = self._open.pop(worker)
        self.seconds[stage] = time.monotonic() - since

    def _kill(self, worker: processes.Worker) -> None:
        half = self.scratch / "half-written"
        with self._stage("crash"):
            size = kill_in_save(worker, self.killed, STEPS, half)
        self._leave(worker.name)
        self.say(f"crash: SIGKILL in the save of step {STEPS}, {size:,} bytes were written and are not taken for whole")
        self._start("resume", workers.resume, self.killed, half_written=str(half))

    def _stop_at_failure(self) -> None:
        for worker in self._workers:
            if worker.done and worker.error is not None:
                stage = self._open.get(worker.name, (worker.name, 0.0))[0]
                raise FailedError(self._failure(stage, worker.error))
            if worker.done and worker.result is not None:
                self._finished(worker.name, worker.result)
                worker.result = None

    def _finished(self, name: str, result: dict[str, Any]) -> None:
        if name == "train":
            score = Score.from_json(result["score"])
            self.say(
                f"train: {STEPS} steps of {self.small.recipe.batch_size} rows, loss {result['train_loss']:.2f}, "
                f"{score.name} {score.mean:.3f} on {score.n}"
            )
            self._start(
                "export",
                workers.score_and_export,
                self.reference,
                model=result["model"],
                score=result["score"],
                longest_answer=result["longest_answer"],
                artifact=str(self.artifact),
            )
        elif name == "export":
            parity = result["parity"]
            self.say(
                f"export: {result['weights']}, {result['measured']['size_mb']:.2f} MB, {result['status']} over "
                f"{parity['positions']} positions: divergence {parity['kld_mean']:.2g} nats, "
                f"same top token {parity['same_top_or_tie']:.1%}"
            )

    def _log(self, line: str) -> None:
        """Lines that matter only when something fails."""
        with (self.scratch / "smoke.log").open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")
