"""One way of attempting a task: frozen, hashable, complete.

Nothing that changes the result lives outside a recipe, so two runs with equal :attr:`Recipe.id` on one
machine give equal weights. A child differs from its parent by one named change (:meth:`Recipe.child`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from hone.errors import InputError, nearest
from hone.files import content_hash
from hone.task.expected import expected, shown
from hone.task.layouts import Layout
from hone.task.spec import Section

EVALUATIONS = 4
WARMUP_PART, MOST_WARMUP = 20, 100
HOW = ("processes", "accumulate", "threads", "strategy", "compile", "gradient_checkpointing")
"""Keys that say how a step is computed and not what: a run may go on with others, equal up to the order of sums."""
KEPT = ("keep_states",)
"""Keys that change no weight at all."""


class Recipe(Section):
    """Base or preset, method, data version and hyperparameters of one attempt."""

    model_config = ConfigDict(allow_inf_nan=False)

    base: str = "scratch:1m"
    """``scratch:PRESET``, a model folder, a hub id or a ``.bin`` of llama2.c."""
    data: str = ""
    """Id of the data version that it is trained on."""
    vocab_size: int = Field(default=1024, ge=260)
    """Size of the tokenizer trained from scratch, special tokens included; unused with a base."""
    layout: Layout = "framed-json"
    """How an object is written as text; see :mod:`hone.task.layouts`."""
    architecture: Literal["llama", "qwen3"] = "qwen3"
    """Shape of a model from scratch; ``qwen3`` is ``llama`` with normalised queries and keys."""
    initial: Literal["induction", "random"] = "induction"
    """First weights, from scratch only: ``induction`` can copy from the start (:mod:`hone.model.induction`)."""
    init_std: float = Field(default=0.08, gt=0)
    """Standard deviation of the initial weights, from scratch only."""
    rope_theta: float = Field(default=10_000.0, gt=0)
    """Base of the rotary frequencies, from scratch only."""
    add_tokens: tuple[str, ...] = ()
    """Texts that become one token each, with new rows that are trained and saved; with a base only."""

    objective: Literal["next-token", "masked-tokens", "classify-sequence", "tag-tokens"] = "next-token"
    """What is minimised; all but ``next-token`` need an encoder."""
    mask_share: float = Field(default=0.15, gt=0, lt=1)
    """Share of the tokens that are to be predicted, masked-tokens only (J. Devlin et al., arXiv:1810.04805)."""
    class_weights: Literal["none", "balanced"] = "none"
    """``balanced``: a class weighs inversely to its number of training rows; classify-sequence and tag-tokens only."""
    pooling: Literal["mean", "first"] = "mean"
    """What stands for a whole row, classify-sequence only: the mean of its tokens' states, or the first token's."""
    subtokens: Literal["first", "all"] = "first"
    """Which tokens of a word have a tag, tag-tokens only."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Replaces every dropout rate of the model's config; ``None`` keeps the base's own (from scratch: 0)."""

    optimizer: Literal["adamw", "adafactor", "muon"] = "muon"
    """``muon``: orthogonalised momentum for hidden matrices, AdamW for the rest."""
    freeze: tuple[str, ...] = ()
    """Patterns of parameter names that are not trained, such as ``*embeddings*`` or ``*.layers.[0-3].*`` (fnmatch)."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """A layer's rate is this times that of the layer above it (J. Howard, S. Ruder, arXiv:1801.06146)."""
    learning_rate: float = Field(default=5e-3, gt=0)
    """Peak rate of AdamW."""
    matrix_learning_rate: float = Field(default=0.02, gt=0)
    """Peak rate of Muon's matrices; unused with ``adamw``."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled decay of matrices."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.95, ge=0, lt=1)
    clip_norm: float = Field(default=1.0, gt=0)
    """Largest norm of the whole gradient."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    average: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the exponential average of weights that is evaluated and kept; 0 keeps the weights themselves."""

    schedule: Literal["warmup-stable-decay", "warmup-cosine", "warmup-linear", "constant"] = "warmup-stable-decay"
    least_rate: float = Field(default=0.0, ge=0, le=1)
    """Factor of the peak rate at which a falling schedule ends."""
    warmup_steps: int = Field(default=100, ge=0)
    decay_share: float = Field(default=0.3, ge=0, le=1)
    """Share of the steps, at the end, in which the rate falls to zero (warmup-stable-decay)."""
    steps: int = Field(default=1600, ge=1)
    """Optimizer steps of the whole schedule."""
    batch_size: int = Field(default=32, ge=1)
    """Rows of one optimizer step, over all processes and accumulation."""
    accumulate: int = Field(default=1, ge=1)
    """Micro-batches that one optimizer step is cut into; must divide ``batch_size``."""
    batch_tokens: int | None = Field(default=None, ge=1)
    """Tokens of one optimizer step, padding included, instead of ``batch_size`` rows: few rows where they are long."""
    packing: bool = False
    """Several rows in one sequence, isolated from each other."""
    context: int = Field(default=256, ge=8)
    """Longest row in tokens."""

    swap_values: float = Field(default=0.0, ge=0, le=1)
    """Share of rows whose values are swapped with others of the same field, in input and output (extract)."""
    random_words: float = Field(default=0.0, ge=0, le=1)
    """Share of the swapped values that are made of random words, which teaches copying."""
    train_share: float = Field(default=1.0, gt=0, le=1)
    """Share of the training rows used (for data-scaling curves)."""

    replay: str = ""
    """File of plain text whose documents are mixed into training, against forgetting."""
    replay_share: float = Field(default=0.0, ge=0, lt=1)
    """Share of the training rows that are replayed documents."""

    eval_every: int = Field(default=400, ge=1)
    """Steps between evaluations on dev."""
    eval_rows: int = Field(default=256, ge=1)
    """Dev rows of these evaluations, which decide what weights are kept; the kept ones are scored on all."""
    early_stop: int = Field(default=0, ge=0)
    """End after this many evaluations in a row that are not better than the best; 0 goes to the end."""
    keep_states: int = Field(default=2, ge=1)
    """Newest complete states that are kept on disk; the best weights come on top."""
    on_spike: Literal["rewind", "say", "ignore"] = "say"
    """What happens when the loss jumps: go back to the last state and pass over these rows, a line, or nothing."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "32-true"
    """``auto``: bf16-mixed where the device multiplies it at full speed, else 32-true; said with the reason."""
    compile: bool | Literal["auto"] = False
    """Compile the model's forward and backward pass first (torch.compile); eager with a line where that fails.
    ``auto``: where the run is long enough for it to pay (:func:`hone.train.compiling.compile_of`); said with why."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, a third more arithmetic."""
    aware: Literal["none", "q4_0", "q8_0"] = "none"
    """Train for weights of this format: the model computes with matrices rounded to it, and is kept so. int4 and int8
    have the same grids. A base that does the task already learns its own answers again, any other model the rows."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """How several processes share the model: whole copies, or shards of it (FSDP2)."""
    threads: int = Field(default=1, ge=1)
    """CPU threads of one process; the order of float sums depends on it."""
    processes: int = Field(default=1, ge=1)
    """Data-parallel processes."""
    seed: int = 0

    @field_validator("freeze", "add_tokens", mode="before")
    @classmethod
    def _one_text_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _whole_numbers_divide(self) -> Recipe:
        parts = self.accumulate * self.processes
        if self.batch_tokens is None and self.batch_size % parts:
            raise ValueError(
                f"batch_size {self.batch_size} must be a multiple of accumulate x processes = "
                f"{self.accumulate} x {self.processes} = {parts}"
            )
        return self

    @property
    def id(self) -> str:
        """12 hex digits of the recipe's content."""
        return content_hash(self.model_dump(mode="json"))

    def child(self, **changes: Any) -> Recipe:
        """The same recipe with named changes, validated.

        Raises:
            InputError: for a key that is not a field of a recipe, naming the nearest, or a wrong value.
        """
        child, problems = self.tried(changes)
        if problems:
            raise InputError(problems)
        return child

    def tried(self, changes: Mapping[str, Any]) -> tuple[Recipe, list[str]]:
        """The same recipe with those changes that are right, and a sentence for each that is not.

        Where keys do not fit each other, the recipe that is given back has another ``batch_size``.
        """
        known = list(type(self).model_fields)
        problems = [_unknown_key(key, known) for key in changes if key not in known]
        values = {**self.model_dump(), **{key: value for key, value in changes.items() if key in known}}
        child, wrong = _validated(values)
        problems += wrong.values()
        if child is None and any(wrong):
            # The rules between keys run only once each key is right by itself.
            values |= {key: getattr(self, key) for key in wrong if key}
            child, between = _validated(values)
            problems += between.values() if not {"batch_size", "accumulate", "processes"} & set(wrong) else []
        if child is None:
            child = Recipe.model_validate(
                {**values, "batch_size": int(values["accumulate"]) * int(values["processes"])}
            )
        return child, problems

    def differences(self, other: Recipe) -> dict[str, tuple[Any, Any]]:
        """Fields in which two recipes differ: ``{field: (mine, theirs)}``."""
        mine, theirs = self.model_dump(), other.model_dump()
        return {key: (mine[key], theirs[key]) for key in mine if mine[key] != theirs[key]}

    def goes_on_from(self, recorded: Mapping[str, Any]) -> bool:
        """Whether a run with these recorded keys may go on with this recipe: what is computed is the same.

        A key that came with a later version stood at its default before.
        """
        now, before = self.model_dump(mode="json"), {**Recipe().model_dump(mode="json"), **recorded}
        return all(now.get(key) == before.get(key) for key in {*now, *before} - {*HOW, *KEPT})


def of_length(steps: int, evaluations: int = EVALUATIONS) -> dict[str, int]:
    """What follows from a number of steps: a warmup of a twentieth of them, at most 100, and when dev is judged.

    Args:
        steps: optimizer steps of the whole run.
        evaluations: how often dev is to be judged on the way, the end included where it divides the steps.
    """
    return {
        "warmup_steps": max(1, min(MOST_WARMUP, steps // WARMUP_PART)),
        "eval_every": max(1, -(-steps // evaluations)),
    }


MEANT = {
    "preset": "a preset is named by base, such as base=scratch:1m",
    "model": "what a run starts from is base, such as base=scratch:1m or a model folder",
    "epochs": "the length of a run is steps",
    "lr": 'did you mean "learning_rate"?',
    "eta": 'did you mean "learning_rate"?',
}
"""Words of other tools, which no spelling leads to the right key from."""


def _unknown_key(key: str, known: list[str]) -> str:
    return f'"{key}" is not part of a recipe; {MEANT.get(key) or nearest(key, known)}'


def _validated(values: Mapping[str, Any]) -> tuple[Recipe | None, dict[str, str]]:
    """The recipe of values, or by key a sentence on each that is wrong; under no name, what does not fit together."""
    from pydantic import ValidationError

    try:
        return Recipe.model_validate(values), {}
    except ValidationError as error:
        return None, dict(_wrong_value(item) for item in error.errors())


def _wrong_value(item: Any) -> tuple[str, str]:
    """A key and a sentence on the value that it cannot take."""
    if not item["loc"]:
        return "", item["msg"].removeprefix("Value error, ")
    key = str(item["loc"][0])
    return key, f"{key} must be {expected(Recipe, key)}; got {shown(item['input'])}"
