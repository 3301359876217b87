"""From the best attempt to the verdict: the artifact, its score on dev, the sealed test, what to try next."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from hone.attempts import AttemptReport
from hone.deploy.artifact.card import add_test
from hone.deploy.elsewhere import planned_elsewhere
from hone.errors import HoneError
from hone.solving import artifact as artifact_room
from hone.solving.defaults import Rate
from hone.solving.origin import tested
from hone.solving.propose import NARROWER
from hone.solving.race import Race, run_stage
from hone.solving.result import result_of
from hone.solving.subsets import scaling_line
from hone.solving.verdict import advice, baseline_lines, distance_line, score_test
from hone.task.recipe import Recipe
from hone.task.scores import Score


class Ending:
    """What follows the attempts, over one race; everything finished is found again in the state."""

    def __init__(self, race: Race, seed: int) -> None:
        self.race, self.seed = race, seed
        self.task, self.state, self.show = race.task, race.state, race.show

    def artifact(self, record: dict[str, Any], report: AttemptReport) -> dict[str, Any]:
        """The certified artifact of an attempt, made once for each model."""
        stored = self.state.value("artifact")
        model = [record["run"], report.step, report.status]
        if stored is not None and stored["model"] == model:
            # Found by name: the folder may have been moved, or named otherwise than by the earlier call.
            path = self.race.folder / "artifacts" / Path(stored["path"]).name
            if path.exists():
                return {**stored, "path": str(path)}
        self.show.heading("artifact")
        run = self.race.lab.run(record["run"])
        order = {
            "folder": str(self.race.folder),
            "run": run.folder.name,
            "model": str(run.model),
            "name": self.task.name,
            "task": self.task,
            "data": self.race.data,
            "longest_answer": report.longest_answer,
        }
        made = run_stage("artifact", artifact_room.work, order, self.state, self.show, self.race.box)
        made["model"] = model
        self.race.lab.record_artifact(Path(made["path"]), record["run"], certificate=made["certificate"])
        self.state.keep("artifact", made)
        return dict(made)

    def holds(self, made: dict[str, Any]) -> bool:
        """The artifact reaches the target on dev, is certified and is known to break no limit of the device.

        What only a device of another class could tell is no reason to go on: nothing here would ever know more.
        """
        certified = made["certificate"]["status"] == "certified"
        return self._score(made).reaches(self.task.target) and made["within"] is not False and certified

    def result(self, record: dict[str, Any], report: AttemptReport) -> dict[str, Any]:
        """Artifact, verdict on the sealed test, advice."""
        made = self.artifact(record, report)
        for line in (report.distance or {}).get("lines", ()):
            self.show.say(line)
        planned = self._planned(record, made)
        test = self._test(record, report, made)
        solved = self.holds(made)
        lines = self._advice(record, report, made, solved)
        found = result_of(self.task, self.race.folder, self.state, record, made, test)
        found["planned"] = planned
        try:
            add_test(Path(made["path"]), tested(found, Path(made["path"]).name))
        except (HoneError, OSError) as error:  # the test is read by now, and its score is the solve's result
            self.show.say(f"the artifact's card and certificate were not given the test's score: {error}")
        return {"task": self.task.name, "solved": solved, **found, "advice": lines, **self._box()}

    def unfinished(self) -> dict[str, Any]:
        """The box ended before any attempt had a model: an honest result without one."""
        rows = self.race.rows.values()
        return {
            "task": self.task.name,
            "solved": False,
            "metric": self.task.metric,
            "target": self.task.target,
            "score": None,
            "attempts": len(self.state.attempts),
            "unfinished": [asdict(row) | {"score": row.score.to_json() if row.score else None} for row in rows],
            "artifact": None,
            "advice": ["no attempt has a model within the box: repeat `hone solve` with more --minutes, it goes on"],
            **self._box(),
        }

    def _test(self, record: dict[str, Any], report: AttemptReport, made: dict[str, Any]) -> dict[str, Any]:
        stored = self.state.value("test")
        if stored is not None and stored["model"] == made["model"]:
            return dict(stored)
        self.show.heading("verdict: the certified artifact on the sealed test")
        path, race = Path(made["path"]), self.race
        with self.state.stage("verdict"):
            scored, count = score_test(race.lab, self.task, race.data, path, record["run"], report.longest_answer)
        if count > 1:
            self.show.say(
                f"this is reading {count} of this test split: the more often it is read, the less its score says about "
                "unseen rows; a new test file makes it fresh"
            )
        scored |= {"run": record["run"], "model": made["model"], "readings": count}
        self.state.keep("test", scored)
        return scored

    def _planned(self, record: dict[str, Any], made: dict[str, Any]) -> dict[str, Any] | None:
        """What the device's class is planned to take, where that is not this machine."""
        model = Path(self.race.lab.run(record["run"]).model)
        return planned_elsewhere(model, made["certificate"]["weights"], self.task.device)

    def _advice(self, record: dict[str, Any], report: AttemptReport, made: dict[str, Any], solved: bool) -> list[str]:
        score = self._score(made)
        known = self.state.value("baselines")
        if solved:
            return baseline_lines(score, known)
        lines = [] if score.reaches(self.task.target) else [distance_line(score, self.task.target)]
        if made["over"]:
            lines += [f"over the device budget: {sentence}" for sentence in made["over"]]
            narrower = NARROWER.get(Recipe.model_validate(record["recipe"]).base)
            hint = f" (`base: {narrower}` in hone.yaml)" if narrower else ""
            lines.append(f"a narrower model{hint} or a larger budget would fit")
        with self.state.stage("scaling"):
            curve = scaling_line(self.race, record, report, Rate(**self.state.value("rate")))
        recipe = Recipe.model_validate(record["recipe"])
        return lines + advice(recipe, report, made["evaluation"]["slices"], known, curve)

    def _score(self, made: dict[str, Any]) -> Score:
        return Score.from_json(made["evaluation"]["scores"][self.task.metric])

    def _box(self) -> dict[str, Any]:
        stages = {name: round(seconds, 1) for name, seconds in self.state.stages.items()}
        used = round(self.state.used_s, 1)
        return {"seed": self.seed, "box_s": self.race.box.seconds, "seconds": used, "stages": stages}
