"""What acts on what is wrong, and what that does to these rows.

In a task it is the ``clean`` section with one change in it, told whole, because a file can hold one only: what stands
there now is replaced by it. For bare files it is a command that cleans them so.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from hone.data.cleaning import transforms_of
from hone.data.looking.figures import Figures, Flags, LookOptions
from hone.data.looking.markup import percent
from hone.data.looking.sampling import estimated_by, told_rows
from hone.data.presets import OPTIONAL, preset
from hone.data.rules import Decisions, Rule, changed, decide
from hone.data.transforms.registry import TRANSFORMS
from hone.errors import FailedError
from hone.task.spec import Clean

Act = dict[str, Any]
LONGEST_LINE = 118
_MOST = 0.5
_PARTS = {"input": "text", "answer": "answer", "label": "label"}
"""What the values of content.missing are to people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acting:
    """Measured rows, the rules on them, and the section that the rules are from.

    Every method returns parts of an alert: ``yaml`` (a text for ``hone.yaml``) and ``place`` (where it goes, and what
    it replaces there), or ``apply`` (the command that cleans bare files so); ``effect`` (a sentence with numbers),
    ``removes`` (rows looked at that would leave), ``command`` (a look at them) and ``why``. Of the first five there is
    none where the change would do nothing.
    """

    columns: pa.Table
    rules: Sequence[Rule]
    decisions: Decisions
    options: LookOptions

    def rule(self, name: str, wish: bool | Mapping[str, Any] = True) -> Act:
        """What acts on rows that a rule removes: a look at them where it is applied, else the section that adds it."""
        if name in self.decisions.failed:
            removed = self.fails(name)
            if not removed:
                return {"why": f"The rule {name} is applied and removes none of them."}
            return {"command": self.dropped(name), "why": f"The rule {name} removes {self._told(removed, name)}."}
        if self.options.section.rules.get(name) is False:
            return {"why": f"The clean section leaves the rule {name} out."}
        fails = self._fails(name, wish)
        new = int((fails & self.decisions.keep).sum())
        if not new:
            none = "no row" if not fails.any() else "no row that the other rules keep"
            return {"why": f"The rule {name} would remove {none}, so it is not proposed."}
        preview = {"command": self.dropped(name)} if name in OPTIONAL and not self.options.is_pinned else {}
        rules = {**self._section().get("rules", {}), name: wish}
        effect = f"removes {self._told(new, name)}" + self._beside(int(fails.sum()), new)
        act = self._replaced(("--rule", name if wish is True else _typed(wish)), rules=rules)
        return {**act, "effect": effect, "removes": new, **preview}

    def without(self, name: str) -> Act:
        """What acts on a rule that removes too much: leaving it out, where it goes by a threshold that may not fit."""
        look = {"command": self.dropped(name)}
        rule = next(rule for rule in self.rules if rule.name == name)
        if rule.absent or rule.signal == "contamination":
            return {**look, "why": "So many rows: look at some; is the right file or column named, is none read twice?"}
        if rule.signal == "pii":
            return {**look, "why": "Look at some: the transform redact takes out what was found and keeps the rows."}
        look["why"] = "So large a part is seldom bad: look at the rows nearest to its threshold."
        alone = self.decisions.counts()[name]["alone"]
        if not alone:
            return look
        # A rule that hone has is off when it is said to be; one of a person's own, when nobody names it.
        off = {name: False} if name in OPTIONAL else {}
        rules = {rule: wish for rule, wish in self._section().get("rules", {}).items() if rule != name} | off
        effect = f"brings {self._told(alone, name)} back, which no other rule removes"
        act = self._replaced(("--rule", f"{name}=off"), is_said=bool(off), rules=rules)
        return {**act, "effect": effect, "removes": -alone, **look}

    def transform(self, name: str, params: Mapping[str, Any], rows: int) -> Act:
        """The section with a transform more, or with further parameters of one: lists become longer.

        Args:
            name: of the transform.
            params: its parameters; what the section's own transform has stays.
            rows: that it changes.
        """
        steps = self._transforms()
        merged = dict(steps.get(name, {}))
        for key, value in params.items():
            old = merged.get(key)
            merged[key] = list(dict.fromkeys([*old, *value])) if isinstance(old, list) else value
        steps[name] = merged
        # As the registry runs them, whatever order they are written in.
        order = [step for step in TRANSFORMS if step in steps]
        wishes = [{step: steps[step]} if steps[step] else step for step in order]
        effect = f"rewrites {self._told(rows, '')}"
        return {**self._replaced(("--transform", _typed_step(name, merged)), transforms=wishes), "effect": effect}

    def metric(self, name: str) -> Act:
        """Another metric for the task, unless it has it."""
        if self.options.metric == name or self.options.cleaning:
            return {}
        return {"yaml": f"metric: {name}", "place": self._place("metric"), "effect": "measures all labels alike"}

    def holding(self, columns: Sequence[str]) -> int:
        """Rows of which one of some counts is not zero."""
        figures = Figures(self.columns)
        flags = [figures.flags(name) for name in columns if figures.has(name)]
        return int(np.any(flags, axis=0).sum()) if flags else 0

    def lacks(self) -> list[str]:
        """What there is nothing of in rows that the rule ``empty`` is for: text, answer, label."""
        if "content.missing" not in self.columns.column_names:
            return []
        missing = set(self.columns.column("content.missing").unique().to_pylist())
        return [f"no {told}" for part, told in _PARTS.items() if part in missing]

    def fails(self, name: str) -> int:
        """Rows that an applied rule removes; 0 of a rule that is not applied."""
        return int(self.decisions.failed[name].sum()) if name in self.decisions.failed else 0

    def dropped(self, rule: str) -> str:
        """The command that pages through what a rule removes."""
        return shlex.join([*self.options.command, "--dropped", rule])

    def _fails(self, name: str, wish: bool | Mapping[str, Any]) -> Flags:
        """(N,) bool: rows that a rule would remove; none where what it goes by was not measured."""
        found = changed((), {name: wish}, OPTIONAL)
        if any(rule.column not in self.columns.column_names for rule in found):
            return np.zeros(self.columns.num_rows, bool)
        return ~decide(self.columns, found).keep

    def _told(self, count: int, rule: str) -> str:
        column = OPTIONAL[rule].column if rule in OPTIONAL else ""
        return told_rows(count, self.columns.num_rows, self.options.of, estimated_by(column))[0]

    def _beside(self, fails: int, new: int) -> str:
        """What else has to be known of a rule: rows that leave anyway, and that it takes the larger part."""
        n = self.columns.num_rows
        sampled = " of the sample" if self.options.of else ""
        already = f" beside {fails - new:,}{sampled} that other rules remove" if fails > new else ""
        return already + (f"; that is {percent(new / n)} of all, so look at them first" if new > _MOST * n else "")

    def _section(self) -> dict[str, Any]:
        """The section as it stands, in plain values, its preset first."""
        found = self.options.section.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        found.pop("version", None)
        return {"preset": self.options.section.preset, **found}

    def _transforms(self) -> dict[str, dict[str, Any]]:
        wishes = self.options.section.transforms
        if wishes is None:
            return {name: dict(params) for name, params in preset(self.options.section.preset).transforms}
        steps: list[dict[str, Any]] = [{wish: {}} if isinstance(wish, str) else wish for wish in wishes]
        found = {name: dict(params) for step in steps for name, params in step.items()}
        if "redact" in found:
            # Without kinds it is all of them, and one more would be one only.
            made = next(one for one in transforms_of(self.options.section, "") if one.name == "redact")
            found["redact"] = {**found["redact"], "kinds": list(made.params["kinds"])}
        return found

    def _replaced(self, words: tuple[str, str], *, is_said: bool = True, **change: Any) -> Act:
        """A change in the words of the command line (left out where not ``is_said``), or as the whole section."""
        if self.options.cleaning:
            return {"apply": shlex.join([*_without(self.options.cleaning, words), *(words if is_said else ())])}
        section = {**self._section(), **change}
        order = list(Clean.model_fields)
        # An empty list of transforms is not the preset's; every other key says nothing when it is empty.
        said = [key for key in order if key in section and (section[key] or key == "transforms")]
        section = {key: section[key] for key in said}
        return {"yaml": section_text(section), "place": self._place("clean")}

    def _place(self, key: str) -> str:
        """Where a key is written: instead of what stands there, for a file can hold it only once."""
        folder = self.options.folder.rstrip("/")
        what = "clean section" if key == "clean" else f"{key} line"
        instead = f"in {folder}/hone.yaml, instead of its {what}"
        return instead if key in self.options.written else f"add to {folder}/hone.yaml"


def section_text(section: Mapping[str, Any]) -> str:
    """A ``clean`` section as it is written in ``hone.yaml``: one line where it fits, else one for each key."""
    line = f"clean: {_flow(dict(section))}"
    if len(line) <= LONGEST_LINE:
        return line
    return "\n".join(["clean:", *(f"  {key}: {_flow(value)}" for key, value in section.items())])


def _without(command: Sequence[str], words: tuple[str, str]) -> list[str]:
    """A command without what it says of the same rule or transform so far."""

    def about(option: str, word: str) -> tuple[str, str]:
        return option, word.partition("=")[0].partition(":")[0]

    pairs = zip(["", *command], command, strict=False)
    old = [at for at, pair in enumerate(pairs) if about(*pair) == about(*words)]
    return [word for at, word in enumerate(command) if not {at, at + 1} & set(old)]


def _typed(wish: bool | Mapping[str, Any]) -> str:
    """A rule of one's own as an option says it."""
    if isinstance(wish, bool):
        raise FailedError("a rule that is on or off is said by its name")
    if "one_of" in wish:
        return f"{wish['column']}={','.join(wish['one_of'])}"
    return f"{wish['column']}=..{wish['max']:g}"


def _typed_step(name: str, params: Mapping[str, Any]) -> str:
    """A transform as an option says it."""
    said = {key: ",".join(value) if isinstance(value, list) else json.dumps(value) for key, value in params.items()}
    return ":".join([name, *(f"{key}={value}" for key, value in said.items())])


def _flow(value: Any) -> str:
    if isinstance(value, str):
        plain = str(yaml.safe_dump(value, width=10**6, allow_unicode=True)).removesuffix("...\n").strip()
        return plain if "\n" not in plain else json.dumps(value, ensure_ascii=False)
    shown = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return str(shown).strip()
