"""A run: a recipe carried out, as a folder that a person can read.

::

    runs/0007-wider/
      run.json        identity, parent, hypothesis (written once)     recipe.yaml    the recipe (written once)
      metrics.jsonl   one line per logged step (appended)             samples.jsonl  what the model said (appended)
      scores.jsonl    scores of evaluations on the way (appended)     state.json     the last word on its status
      guards.jsonl    what the guards saw, gradient flow by layer (appended)
      checkpoints/    state of the engine                             model/         the model folder
      result.json     what came out (its presence makes a run finished)
      verdict.json    the measured effect against the parent

A process that works on a run holds the lock ``.lock``, which the kernel takes back when the process dies. So a run
that says "running" and is held by nobody was interrupted, also by ``kill -9`` or a power cut.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from hone.errors import FailedError
from hone.files import read_json, write_json
from hone.lab import jsonl
from hone.lab.locks import is_held, waiting_for
from hone.lab.record import Header, now
from hone.lab.scores import ScoreRecord, as_scores, standing
from hone.lab.trackers import Mirrors
from hone.task.scores import Score

STATUSES = ("planned", "running", "paused", "interrupted", "failed", "finished")
TRUTH_FILES = ("run.json", "state.json", "scores.jsonl", "result.json", "verdict.json")
"""Files that the index is made of."""
_LOCK_PATIENCE_S = 1.0


class Run:
    """One run folder. Open as many as you like for reading; one process at a time works on it.

    Args:
        folder: the run's folder, for example ``runs/0007-wider``.
        mirrors: trackers that get a copy of everything; they never stop a run.
        say: takes a sentence for people.
        changed: called after every change of status, score or result (the lab keeps its index with it).
    """

    def __init__(
        self,
        folder: Path,
        *,
        mirrors: Mirrors | None = None,
        say: Callable[[str], None] = print,
        changed: Callable[[Run], None] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self._mirrors = mirrors or Mirrors((), say=say)
        self._say = say
        self._tell = changed
        self._lock = contextlib.ExitStack()
        self._working = False

    @cached_property
    def header(self) -> Header:
        """Identity, parent and hypothesis."""
        return Header.read(self.folder)

    @property
    def number(self) -> int:
        """The run's number in its lab."""
        return self.header.number

    @property
    def name(self) -> str:
        """The run's name, without the number."""
        return self.header.name

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The recipe as plain values."""
        import yaml

        values: dict[str, Any] = yaml.safe_load((self.folder / "recipe.yaml").read_text(encoding="utf-8"))
        return values

    @property
    def checkpoints(self) -> Path:
        """Folder of the engine's states."""
        return self.folder / "checkpoints"

    @property
    def model(self) -> Path:
        """The model folder."""
        return self.folder / "model"

    @property
    def result(self) -> dict[str, Any] | None:
        """What :meth:`finish` was given, or ``None``."""
        path = self.folder / "result.json"
        value: dict[str, Any] | None = read_json(path) if path.exists() else None
        return value

    @property
    def recorded_status(self) -> str:
        """The last status that was written down; a process that died could not write another."""
        if (self.folder / "result.json").exists():
            return "finished"
        return str(self._state()["status"])

    @property
    def status(self) -> str:
        """One of :data:`STATUSES`, as it is at this moment."""
        if self.recorded_status == "finished":
            return "finished"
        lock = self.folder / ".lock"
        if self._working or is_held(lock):
            return "running"
        word = self.recorded_status  # asked again: the holder may have written its last word a moment ago
        if word != "running":
            return word
        return "running" if is_held(lock) else "interrupted"

    @property
    def reason(self) -> str:
        """Why it was paused, interrupted or failed; empty otherwise."""
        return "" if self.recorded_status == "finished" else str(self._state()["reason"])

    def begin(self) -> None:
        """Take the run: from now on it is ``running`` and held by this process. Logging begins by itself.

        Raises:
            BusyError: when another process works on it, with that process's id.
            FailedError: when it is finished.
        """
        if self._working:
            return
        if self.recorded_status == "finished":
            raise FailedError(f"run {self.header.folder_name} is finished and takes nothing more; start a new run")
        self._lock.enter_context(waiting_for(self.folder / ".lock", f"run {self.header.folder_name}", _LOCK_PATIENCE_S))
        self._working = True
        self._write_state("running", "")
        self._mirrors.start(self.header, self.recipe)

    @contextlib.contextmanager
    def working(self) -> Iterator[Run]:
        """Work on the run in a block, and write down how the block ended.

        Left without :meth:`finish` it is paused; by ctrl-C or an exit of the interpreter, interrupted; by any other
        exception, failed, with the exception as reason. Exceptions go on.
        """
        self.begin()
        try:
            yield self
        except (KeyboardInterrupt, SystemExit, GeneratorExit) as error:
            self.stop("interrupted", type(error).__name__)
            raise
        except BaseException as error:
            with contextlib.suppress(FailedError):  # on a full disk the first error tells more than that of this note
                self.stop("failed", f"{type(error).__name__}: {error}")
            raise
        else:
            self.stop("paused", "")

    def stop(self, status: str, reason: str = "") -> None:
        """Let go of the run as ``paused``, ``interrupted`` or ``failed``. Nothing happens after :meth:`finish`."""
        if status not in ("paused", "interrupted", "failed"):
            raise ValueError(f'status must be paused, interrupted or failed; got "{status}" (finish() ends a run)')
        if not self._working:
            return
        try:
            self._write_state(status, reason)
        finally:
            self._let_go()
        self._mirrors.finish({"status": status, "reason": reason})

    def log(self, step: int, **values: float | int | str | bool | None) -> None:
        """Write down values after a step. A repeated step (after a resume) replaces equal keys of the earlier one."""
        self.begin()
        plain = {key: jsonl.plain_number(value) for key, value in values.items()}
        jsonl.append(self.folder / "metrics.jsonl", {"step": step, **plain})
        self._mirrors.log(step, plain)

    def sample(self, step: int, **fields: Any) -> None:
        """Keep what the model answered after a step, for example ``prompt=``, ``completion=``, ``reference=``."""
        self.begin()
        jsonl.append(self.folder / "samples.jsonl", {"step": step, **fields})

    def guard(self, step: int, **event: Any) -> None:
        """Keep what a guard saw after a step: its name, a line for people, its figures."""
        self.begin()
        jsonl.append(self.folder / "guards.jsonl", {"step": step, **event})

    def score(self, step: int | None, scores: Mapping[str, Score] | Iterable[Score], split: str = "dev") -> None:
        """Keep the scores of an evaluation after a step on one split: ``dev``, ``ood`` or ``train``.

        Raises:
            ValueError: for ``test``, which is scored on the final artifact only (:mod:`hone.lab.readings`).
        """
        if split == "test":
            raise ValueError("a run takes no score on the test split; it is read once, for the final artifact")
        self.begin()
        for score in as_scores(scores):
            record = ScoreRecord(score=score, split=split, step=step, final=False)
            jsonl.append(self.folder / "scores.jsonl", record.to_json())
            self._mirrors.log(step or 0, {f"{split}/{score.name}": score.mean})
        self._tell_changed()

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result and let go. ``result["scores"]``, if given, are the final scores on dev.

        They are a mapping by metric of :class:`Score` or of their plain values. The file appears whole or not at all.
        """
        self.begin()
        scores = {score.name: score.to_json() for score in as_scores(result.get("scores", ()))}
        plain = {**result, "scores": scores}
        write_json(self.folder / "result.json", plain)
        try:
            self._write_state("finished", "")
        finally:
            self._let_go()
        self._mirrors.finish(plain)

    def metrics(self) -> list[dict[str, Any]]:
        """Logged values, one mapping per step in step order; a step logged again (after a resume) counts once."""
        by_step: dict[int, dict[str, Any]] = {}
        for row in self._rows("metrics.jsonl"):
            by_step.setdefault(row["step"], {}).update(row)
        return [by_step[step] for step in sorted(by_step)]

    def samples(self) -> list[dict[str, Any]]:
        """Kept samples in the order in which they were written; an exact repeat (after a resume) counts once."""
        return list({repr(sorted(row.items())): row for row in self._rows("samples.jsonl")}.values())

    def guards(self) -> list[dict[str, Any]]:
        """What the guards saw, in the order in which it was written; an exact repeat (after a resume) counts once."""
        return list({repr(sorted(row.items())): row for row in self._rows("guards.jsonl")}.values())

    def score_records(self) -> list[ScoreRecord]:
        """Every recorded score: those on the way, then the final ones of the result (split ``dev``)."""
        records = [ScoreRecord.from_json(row) for row in self._rows("scores.jsonl")]
        for score in as_scores((self.result or {}).get("scores", {})):
            records.append(ScoreRecord(score=score, split="dev", step=None, final=True))
        return records

    def scores(self, split: str = "dev") -> dict[str, Score]:
        """One score per metric: the final one where there is one, else the best so far."""
        return standing(self.score_records(), split)

    def last_step(self) -> int:
        """The last logged step, 0 before the first."""
        row = jsonl.last_row(self.folder / "metrics.jsonl")
        return int(row["step"]) if row else 0

    def saved_step(self) -> int:
        """The step of the newest state, from which a repeated command goes on; 0 where there is none."""
        names = (path.name.removeprefix("step-") for path in self.checkpoints.glob("step-*"))
        return max((int(name) for name in names if name.isdigit()), default=0)

    def _rows(self, name: str) -> list[dict[str, Any]]:
        lines = jsonl.read(self.folder / name)
        for sentence in lines.torn:
            self._say(sentence)
        return list(lines.rows)

    def _state(self) -> dict[str, Any]:
        path = self.folder / "state.json"
        state: dict[str, Any] = read_json(path) if path.exists() else {"status": "planned", "reason": ""}
        return state

    def _write_state(self, status: str, reason: str) -> None:
        write_json(self.folder / "state.json", {"status": status, "reason": reason, "since": now()})
        self._tell_changed()

    def _tell_changed(self) -> None:
        if self._tell is not None:
            self._tell(self)

    def _let_go(self) -> None:
        self._working = False
        self._lock.close()
