"""What "solved" means, as a frozen typed object: the keys of ``hone.yaml``.

Every key is typed and an unknown one is an error (``extra="forbid"``); :mod:`hone.task.load` turns
these errors into sentences with lines and nearest names. The JSON Schema for editors is
:func:`json_schema`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from hone.task.conversation import Form, Role
from hone.task.metrics import DEFAULT_METRIC, metric_problems
from hone.task.templates import columns, parts, template_problems

Kind = Literal["classify", "multi-label", "tag", "extract", "generate", "language-model"]
"""``classify``: one label a row. ``multi-label``: any number, a list. ``tag``: entities in the text, a list."""
KINDS: tuple[str, ...] = get_args(Kind)
DeviceClass = Literal[
    "this-machine", "phone", "oneplus-12", "galaxy-s24-ultra", "iphone-17-pro", "apple-silicon", "pi-zero-2w"
]
"""``this-machine`` is measured; of the others figures are published (:mod:`hone.model.published`)."""
DEVICE_CLASSES: tuple[DeviceClass, ...] = get_args(DeviceClass)
THIS_MACHINE = DEVICE_CLASSES[0]
Overlong = Literal["error", "drop", "split", "drop-turns"]
"""``drop``: the row leaves. ``split``: documents are cut. ``drop-turns``: the oldest turns of a conversation leave."""


class Section(BaseModel):
    """Base of every part of a task or recipe: frozen, and nothing unknown gets in."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, protected_namespaces=())


class Message(Section):
    """One turn of a prompt that is a list of roles."""

    role: Literal["system", "user", "assistant"]
    content: str


class SplitBy(Section):
    """What decides which rows are hashed out for dev and test, besides the text itself."""

    by: Literal["group", "time"]
    """``group``: rows of one value stay together. ``time``: the newest rows leave, for test first and then for dev."""
    column: str = Field(min_length=1)
    """The column that holds the group, or a time as a number or an ISO 8601 text."""


class Data(Section):
    """Where the rows are. Paths are relative to the task folder."""

    train: str = Field(min_length=1)
    """Path, glob, folder or hub id of the training rows."""
    dev: int | float | str = 0.1
    """Rows (a whole number) or share (below 1) hashed out of train, or a file."""
    test: str | None = None
    """The sealed test file; without it 10 % is hashed out of train, and that is said."""
    ood: str | None = None
    """Rows from elsewhere, scored beside dev."""
    split: SplitBy | None = None
    """How rows are chosen for dev and test; without it by the hash of their text."""
    bad_rows: Literal["error", "drop"] = "error"
    """What becomes of rows that cannot be used: ``error`` names them and stops, ``drop`` puts them into the ledger."""

    @field_validator("train", "test", "ood", mode="before")
    @classmethod
    def _is_a_file(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str) or (value is None and info.field_name != "train"):
            return value
        given = f"got {value!r}" if not isinstance(value, list | dict) else f"got a {type(value).__name__}"
        if info.field_name == "test":
            raise ValueError(f"must be a file; without it 10 % of train is hashed out for it, so leave it out; {given}")
        what = "of the training rows" if info.field_name == "train" else "of rows from elsewhere"
        raise ValueError(f"must be a file, glob, folder or hub id {what}; {given}")

    @field_validator("dev")
    @classmethod
    def _dev_is_rows_or_share(cls, value: int | float | str) -> int | float | str:
        if isinstance(value, bool):
            raise ValueError("must be a number of rows, a share below 1, or a file; got a boolean")
        if isinstance(value, int) and value < 1:
            raise ValueError(f"as a number of rows must be at least 1; got {value}")
        if isinstance(value, float) and not 0 < value < 1:
            raise ValueError(f"as a share must lie between 0 and 1; got {value:g}")
        return value


class Device(Section):
    """The budget that the artifact must keep, as measured sustained figures. ``None`` means no limit."""

    size_mb: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Largest file, in megabytes (10^6 bytes)."""
    ram_mb: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Largest resident memory of the process that runs the artifact, in megabytes."""
    first_token_ms: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Longest time from a prompt of ``prompt_tokens`` to the first token."""
    ms_per_token: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Longest time per generated token after the first."""
    threads: int = Field(default=1, ge=1)
    """CPU threads that the runtime may use."""
    context: int = Field(default=256, ge=8)
    """Tokens of prompt and answer together."""
    prompt_tokens: int = Field(default=64, ge=1)
    """Length of the prompt at which the first token is timed."""
    device_class: DeviceClass = Field(default=THIS_MACHINE, alias="class")
    """The kind of device that the limits are for. Another than this machine is planned from published figures; what
    is measured of an artifact is measured here all the same, which its certificate says."""

    @model_validator(mode="after")
    def _prompt_fits(self) -> Device:
        if self.prompt_tokens >= self.context:
            raise ValueError(f"prompt_tokens {self.prompt_tokens} must be smaller than context {self.context}")
        return self


class RuleWish(Section):
    """A rule of one's own, or another threshold for a rule of the preset."""

    column: str | None = None
    """Signal column, such as ``quality.words`` or ``own:checks.score``; a rule of the preset has one already."""
    min: float | None = None
    """Rows below this leave."""
    max: float | None = None
    """Rows above this leave."""
    one_of: list[str] | None = None
    """Rows with another value leave."""
    absent: bool | None = None
    """Rows that have a value leave."""
    source: str | None = None
    """Where the threshold is from."""

    @model_validator(mode="after")
    def _some_row_can_pass(self) -> RuleWish:
        wrong = [f"{name} {value}" for name, value in (("min", self.min), ("max", self.max)) if _is_odd(value)]
        if wrong:
            raise ValueError(f"a threshold is a finite number; got {', '.join(wrong)}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is over max {self.max:g}: no row could stay")
        return self


def _is_odd(value: float | None) -> bool:
    return value is not None and not math.isfinite(value)


class Clean(Section):
    """How rows are cleaned: transforms of text, then signals, then rules over the signals' columns.

    ``task``: empty rows, folded duplicates and rows of the test split leave; ``web`` adds the FineWeb chain for raw
    pages; ``none``: only empty rows and those of the test and dev splits leave.
    """

    preset: Literal["task", "web", "none"] = "task"
    transforms: list[str | dict[str, dict[str, Any]]] | None = None
    """Transforms by name or ``{name: {parameter: value}}``, without the key the preset's own; carried out in the order
    html, unicode, whitespace, c4-lines, redact."""
    rules: dict[str, bool | RuleWish] = {}
    """By name: ``false`` leaves a rule of the preset out, ``{min: ..., max: ...}`` moves its threshold or adds one."""
    signals: dict[str, dict[str, Any]] = {}
    """Parameters of signals by name, such as ``near: {threshold: 0.8}``."""
    against: list[str] = []
    """Further files that training rows must not share text with: benchmarks."""
    limits: dict[str, int] = {}
    """Rows kept at most of a source file, by its name; ``"*"`` for every other one."""
    version: str | None = None
    """Take the cleaning that an earlier data version was made with, its edits included (undo)."""

    @model_validator(mode="after")
    def _limits_are_numbers_of_rows(self) -> Clean:
        wrong = [f"{name}: {limit}" for name, limit in self.limits.items() if limit < 1]
        if wrong:
            raise ValueError(f"limits must be at least 1 row; got {', '.join(wrong)}")
        return self


class Task(Section):
    """A specific task: data, how a row becomes prompt and answer, the metric, its target, the device."""

    name: str = Field(alias="task", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    kind: Kind
    data: Data
    input: str | list[Message] | None = None
    """Template of the prompt, ``{column}`` standing for a field; not for language-model."""
    output: str | dict[str, Any] | None = None
    """Template of the answer: text, a label, or an object. For language-model the column that holds the text."""
    conversation: str | None = None
    """The column that holds a conversation, such as ``"{messages}"``, in the place of input and output (generate)."""
    supervise: tuple[Role, ...] = ()
    """Roles whose turns are learned; without it the assistant's. Conversations only."""
    tools: str | None = None
    """The column of the tools that the assistant may call, ``"{tools}"``; they stand in front of the system turn."""
    output_schema: str | None = Field(default=None, alias="schema")
    """File of the answer's JSON Schema; without it one is inferred from train and shown."""
    metric: str = ""
    """Name in the table of metrics, or a dotted path to a callable; empty takes the kind's default."""
    target: float
    """The value that the pessimistic end of the score must reach."""
    clean: Clean = Clean()
    overlong: Overlong | None = None
    """What happens to rows longer than ``device.context``; default error (split for language-model)."""
    device: Device = Device()
    base: str = "scratch"
    """``scratch``, ``scratch:PRESET``, a model folder, a hub id, or a ``.bin`` of llama2.c."""

    @classmethod
    def load(cls, folder: str | Path) -> Task:
        """The task of a folder; see :func:`hone.task.load.load_task`."""
        from hone.task.load import load_task

        return load_task(folder)

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults_of_the_kind(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        kind = data.get("kind") if isinstance(data.get("kind"), str) else None
        filled = dict(data)
        if not filled.get("metric") and kind in DEFAULT_METRIC:
            filled["metric"] = DEFAULT_METRIC[kind]
        if filled.get("overlong") is None and kind in DEFAULT_METRIC:
            filled["overlong"] = "split" if kind == "language-model" else "error"
        if kind == "language-model" and filled.get("output") is None:
            filled["output"] = "{text}"
        if filled.get("conversation") is not None and not filled.get("supervise"):
            filled["supervise"] = ("assistant",)
        return filled

    @field_validator("base")
    @classmethod
    def _base_is_named(cls, value: str) -> str:
        if not value or value == "scratch:":
            raise ValueError('must be "scratch", "scratch:PRESET", a model folder, a hub id or a .bin of llama2.c')
        return value

    @model_validator(mode="after")
    def _parts_fit_the_kind(self) -> Task:
        problems = [*self._shape_problems(), *metric_problems(self.metric, self.kind, self.target)]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _conversation_problems(self) -> list[str]:
        problems = []
        if self.kind != "generate":
            problems.append(f"conversation: is for tasks of kind generate; this one is of kind {self.kind}")
        taken = [key for key in ("input", "output") if getattr(self, key) is not None]
        problems += [f"{key}: the conversation is prompt and answer; remove this key, or conversation" for key in taken]
        problems += _one_column_problems("conversation", self.conversation, "list of messages")
        if self.tools is not None:
            problems += _one_column_problems("tools", self.tools, "list of tools, or JSON of one")
        if "assistant" not in self.supervise:
            problems.append("supervise: must hold assistant: the last answer is what is scored; got none of that role")
        if self.overlong == "split":
            problems.append("overlong: split cuts documents, and a conversation is none; use error, drop or drop-turns")
        return problems

    def _without_conversation(self) -> list[str]:
        problems = []
        if self.supervise:
            problems.append("supervise: names roles of a conversation, and this task has none; remove this key")
        if self.tools is not None:
            problems.append("tools: belong to a conversation, and this task has none; put the column into input")
        if self.overlong == "drop-turns":
            problems.append("overlong: drop-turns shortens conversations, and this task has none; use error or drop")
        return problems

    def _shape_problems(self) -> list[str]:
        if self.conversation is not None:
            return self._conversation_problems()
        problems = self._without_conversation()
        if self.kind == "language-model":
            if self.input is not None:
                problems.append(
                    "input: a language-model task has no prompt; remove this key (the text column goes in output)"
                )
        elif not self.input:
            problems.append(f'input: missing; a task of kind {self.kind} needs a template such as "{{text}}"')
        if self.kind == "extract" and not isinstance(self.output, dict):
            problems.append('output: an extract task needs an object, such as {intent: "{intent}"}')
        if self.kind in ("classify", "generate") and not isinstance(self.output, str):
            problems.append(f'output: a {self.kind} task needs a template, such as "{{label}}"')
        if self.kind in LISTED:
            problems += _one_column_problems("output", self.output, LISTED[self.kind])
        if self.kind == "tag":
            problems += _one_column_problems("input", self.input, "text that the entities stand in")
        if self.overlong == "split" and self.kind != "language-model":
            problems.append(f"overlong: split cuts documents, and a {self.kind} row is not one; use error or drop")
        for where, part in (("input", self.input), ("output", self.output)):
            problems += [f"{where}: {problem}" for problem in template_problems(_plain(part))]
        return problems

    @property
    def prompt_template(self) -> Any:
        """What the prompt is made of, as plain values: a template, a list of messages, or a conversation's form."""
        if self.conversation is not None:
            longest = self.device.context if self.overlong == "drop-turns" else None
            return Form(self.conversation, self.supervise, longest, "".join(columns(self.tools))).to_json()
        if isinstance(self.input, list):
            return [message.model_dump() for message in self.input]
        return self.input

    @property
    def answer_template(self) -> Any:
        """What the answer is made of; a conversation's form once more where the task has conversations."""
        return self.output if self.conversation is None else self.prompt_template

    @property
    def overlong_rule(self) -> Overlong:
        """``overlong`` with the kind's default filled in."""
        return self.overlong or ("split" if self.kind == "language-model" else "error")

    def to_json(self) -> dict[str, Any]:
        """Plain values under the names of ``hone.yaml``."""
        # A task without conversations is written as before there were any: its id stays.
        left_out = {"conversation", "supervise", "tools"} if self.conversation is None else set()
        return self.model_dump(by_alias=True, mode="json", exclude=left_out)


LISTED = {"multi-label": "list of labels", "tag": "list of entities"}
"""Kinds whose answer is one column's list, and what it holds."""
WRITTEN = ("extract", "generate")
"""Kinds whose answers are written token by token, which an encoder cannot."""


def _one_column_problems(key: str, template: Any, what: str) -> list[str]:
    found = parts(template) if isinstance(template, str) and not template_problems(template) else ()
    if len(found) == 1 and found[0][0] == "" and found[0][1] is not None:
        return []
    return [f"{key}: must be one column alone, the {what}; got {template!r}"]


def _plain(part: Any) -> Any:
    if isinstance(part, list):
        return [message.content for message in part]
    return part


def json_schema() -> dict[str, Any]:
    """JSON Schema of ``hone.yaml``, for editors."""
    return Task.model_json_schema(by_alias=True)
