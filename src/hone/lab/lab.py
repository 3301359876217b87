"""The lab: a task folder's notebook of runs, artifacts and readings of the test split.

::

    runs/0001-default/ ...     artifacts/artifacts.jsonl     test_readings.jsonl     .hone/index.db

Files are the truth and the index can be thrown away: before a question it is compared with the files' sizes and
times, and what changed is read again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hone.errors import FailedError
from hone.files import atomic_folder, atomic_write, write_json
from hone.lab import artifacts as artifact_files
from hone.lab import rows
from hone.lab.artifacts import Artifact
from hone.lab.bookkeeping import ARTIFACTS_PATH, READINGS_PATH, Bookkeeping, number_of
from hone.lab.choose import best_of, find
from hone.lab.hypothesis import Effect, effect_between
from hone.lab.locks import waiting_for
from hone.lab.readings import Reading, Readings
from hone.lab.record import FOLDER_NAME, HEADER, Header, named_change, now, slug
from hone.lab.run import Run
from hone.lab.trackers import Mirrors, check_trackers, open_trackers
from hone.task.recipe import Recipe

MIRRORS_PATH = Path(".hone") / "mirrors"


class Lab:
    """The notebook of one task folder. Nothing is written before something happens.

    Args:
        folder: the task folder.
        trackers: mirrors of every run: ``tensorboard``, ``wandb`` (offline), ``mlflow``.
        say: takes a sentence for people.

    Raises:
        InputError: for an unknown tracker or one whose package is missing, with the command that installs it.
    """

    def __init__(self, folder: Path | str, *, trackers: Sequence[str] = (), say: Callable[[str], None] = print) -> None:
        check_trackers(trackers)
        self.folder = Path(folder)
        self._trackers = tuple(trackers)
        self._say = say
        self._books = Bookkeeping(self.folder, self._open, say)
        self.readings = Readings(self.folder / READINGS_PATH, changed=partial(self._books.put, rows.READINGS))

    @property
    def runs_folder(self) -> Path:
        """Where the run folders are."""
        return self.folder / "runs"

    def new_run(
        self,
        recipe: Recipe,
        task_id: str,
        data_id: str,
        parent: Run | int | None = None,
        hypothesis: str = "",
        *,
        name: str = "default",
        change: str = "",
        predicted: str = "",
        metric: str = "",
    ) -> Run:
        """Make the folder of a new run (status ``planned``), whole or not at all. Numbers are never used twice.

        Args:
            recipe: what will be carried out.
            task_id: identity of the task.
            data_id: identity of the data version.
            parent: the run from which this one differs by one named change.
            hypothesis: why the change should help.
            name: becomes part of the folder's name.
            change: the named change; by default the recipe's differences to the parent in words.
            predicted: the effect expected, in words.
            metric: the task's metric, by which runs are compared and chosen.

        Raises:
            InputError: when the parent does not exist.
        """
        ancestor = self.run(parent) if isinstance(parent, int) else parent
        values = recipe.model_dump(mode="json")
        if ancestor is not None and not change:
            change = named_change(ancestor.recipe, values)
        with waiting_for(self.runs_folder / ".numbering.lock", "the numbering of runs"):
            header = Header(
                number=self._next_number(),
                name=slug(name),
                created=now(),
                task_id=task_id,
                data_id=data_id,
                recipe_id=recipe.id,
                metric=metric,
                parent=None if ancestor is None else ancestor.number,
                hypothesis=hypothesis,
                change=change,
                predicted=predicted,
            )
            folder = self.runs_folder / header.folder_name
            with atomic_folder(folder) as part:
                _write_recipe(part, values)
                write_json(part / HEADER, header.to_json())
            atomic_write(self.runs_folder / ".last-number", f"{header.number}\n")
        self._books.put(rows.run_owner(header.number))
        return self._open(folder)

    def discard(self, run: Run) -> bool:
        """Remove a run that has kept nothing yet and that nobody works on; its number is not given again.

        Returns:
            Whether it was removed.
        """
        kept = any((run.folder / "checkpoints").glob("*")) or run.last_step() > 0
        if kept or run.status in ("running", "finished"):
            return False
        owner = rows.run_owner(run.number)
        shutil.rmtree(run.folder)
        self._books.put(owner)
        return True

    def runs(self) -> list[Run]:
        """All runs by number. A folder that is not a whole run is left out and said."""
        runs = []
        for folder in self._books.run_folders():
            run = self._open(folder)
            try:
                run.header  # noqa: B018 - reads and keeps it
            except FailedError as error:
                self._say(f"{folder} is left out: {error}")
                continue
            runs.append(run)
        return runs

    def run(self, ref: int | str) -> Run:
        """One run by number (``7``, ``"0007"``), name, folder name, unique beginning of either, or ``"best"``.

        Raises:
            InputError: when none or several fit, naming the nearest or all that fit.
        """
        return self.best() if ref == "best" else find(self.runs(), ref, str(self.runs_folder))

    def best(self, metric: str = "") -> Run:
        """The run whose dev score has the best pessimistic end; of equals the best mean, then the earliest run.

        Raises:
            InputError: when no run has a score, or the metric is not named and runs have several.
        """
        return best_of(self.runs(), metric, str(self.runs_folder))

    def judge(self, run: Run, effect: Effect | None = None) -> Effect | None:
        """Write down a run's measured effect against its parent (``verdict.json``), and give it.

        Done by itself when a run with a parent is finished; call it again with a sharper ``effect`` (a paired
        interval) or when the parent was scored later. ``None`` when the two cannot be compared: no parent, no
        common metric, or another data version, whose dev rows differ.
        """
        parent = next((other for other in self.runs() if other.number == run.header.parent), None)
        if parent is None or parent.header.data_id != run.header.data_id:
            return None
        effect = effect or effect_between(run.scores(), parent.scores(), run.header.metric)
        if effect is not None:
            write_json(run.folder / "verdict.json", {"parent": parent.number, **effect.to_json()})
            self._books.put(rows.run_owner(run.number))
        return effect

    def record_artifact(
        self, path: Path, run: Run | int, *, checkpoint: str = "", certificate: Mapping[str, Any] | None = None
    ) -> Artifact:
        """Write down an exported artifact: content hash, size, certificate, and the run and checkpoint it came from.

        Without ``certificate`` the one in its folder (beside a file: ``<artifact>.certificate.json``) is taken, where
        there is one.

        Raises:
            InputError: when the file or the run does not exist.
        """
        number = (run if isinstance(run, Run) else self.run(run)).number
        ledger = self.folder / ARTIFACTS_PATH
        artifact = artifact_files.record(
            ledger, self.folder, Path(path), run=number, checkpoint=checkpoint, certificate=certificate or {}
        )
        self._books.put(rows.ARTIFACTS)
        return artifact

    def record_again(self, path: Path, certificate: Mapping[str, Any]) -> Artifact | None:
        """Write down the certificate of an artifact that was measured again; None for one that was never recorded."""
        known = next((one for one in self.artifacts() if (self.folder / one.path).resolve() == path.resolve()), None)
        if known is None:
            return None
        artifact = artifact_files.record(
            self.folder / ARTIFACTS_PATH,
            self.folder,
            path,
            run=known.run,
            checkpoint=known.checkpoint,
            certificate=certificate,
            again=True,
        )
        self._books.put(rows.ARTIFACTS)
        return artifact

    def artifacts(self) -> list[Artifact]:
        """Recorded artifacts, the last record of each path, in order of recording. Torn lines are said."""
        found, torn = artifact_files.read(self.folder / ARTIFACTS_PATH)
        for sentence in torn:
            self._say(sentence)
        return found

    def record_test_reading(
        self, reason: str, *, data_id: str = "", artifact: str = "", run: int | None = None
    ) -> Reading:
        """Write down that the sealed test split is about to be read; on the disk when this returns."""
        return self.readings.record(reason, data_id=data_id, artifact=artifact, run=run)

    def test_readings(self) -> list[Reading]:
        """Every reading of the test split, in order. Torn lines are said, and count as readings."""
        found, torn = self.readings.all()
        for sentence in torn:
            self._say(sentence)
        return found

    def query(self, select: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Answer a SELECT over the index's tables (:data:`hone.lab.index.TABLES`), brought up to date first."""
        return self._books.query(select, values)

    def reindex(self) -> dict[str, int]:
        """Make the whole index anew from the files; the number of rows by table."""
        return self._books.reindex()

    @property
    def index_failures(self) -> int:
        """Changes that the index did not take; the files have them, and the next question finds them."""
        return self._books.failures

    def _next_number(self) -> int:
        last = self.runs_folder / ".last-number"
        used = [number_of(folder) for folder in self.runs_folder.iterdir() if FOLDER_NAME.match(folder.name)]
        return max([*used, int(last.read_text()) if last.exists() else 0]) + 1

    def _open(self, folder: Path) -> Run:
        mirrors = Mirrors(open_trackers(self._trackers, self.folder / MIRRORS_PATH), say=self._say)
        return Run(folder, mirrors=mirrors, say=self._say, changed=self._run_changed)

    def _run_changed(self, run: Run) -> None:
        self._books.put(rows.run_owner(run.number))
        if run.recorded_status == "finished":
            try:
                self.judge(run)
            except FailedError as error:
                self._say(f"the effect of run {run.folder.name} was not written down: {error}")


def _write_recipe(folder: Path, values: Mapping[str, Any]) -> None:
    import yaml

    text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
