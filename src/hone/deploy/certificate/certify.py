"""The certificate of an artifact: what was compared, within which bounds, and what the device has to say.

``certified``: its own runtime, in a fresh process without torch and transformers, matched the original within the
bounds of its weight format. ``contract-checked``: it opened there and renders the stored examples and the corpus
to the same ids, but there was no original to compare with. ``converted``: something did not hold; ``failures``
says what. The device budget is a matter of its own: a certified artifact can still be too large.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hone.deploy.certificate.corpus import AWKWARD_TEXTS
from hone.deploy.certificate.original import Original
from hone.deploy.certificate.parity import Case, Parity, compare, id_differences
from hone.deploy.measure import Figure, Measured, against, measure
from hone.deploy.process import FreshProcess
from hone.deploy.runtime import runtime_of
from hone.deploy.weights import Bounds, weight_format
from hone.errors import FailedError, HoneError
from hone.files import file_hash, read_json, write_json
from hone.hardware import machine
from hone.task.render import Example, Renderer
from hone.task.spec import Device

Status = Literal["certified", "contract-checked", "converted"]
SUFFIX = ".certificate.json"
COMPARED_AT_ONCE = 16
"""Sequences that the artifact computes together while it is compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """What is known about one artifact."""

    status: Status
    failures: tuple[str, ...]
    """Why it is only ``converted``; empty otherwise."""
    artifact: str
    """File name."""
    artifact_hash: str
    """SHA-256."""
    weights: str
    runtime: str
    machine: str
    modules_in_process: int
    training_modules: tuple[str, ...]
    """Modules of the training side found in the artifact's process; none for a certified one."""
    ids_checked: int
    examples_checked: int
    measured: Measured
    budget: tuple[Figure, ...]
    parity: Parity | None
    bounds: Bounds
    hashes: Mapping[str, str] = field(default_factory=dict)
    score: Mapping[str, Any] | None = None
    """The task's score of this artifact on dev, once it was scored."""

    @property
    def within_budget(self) -> bool:
        """Every budgeted figure keeps its limit."""
        return all(figure.within for figure in self.budget)

    def over_budget(self) -> list[str]:
        """A sentence for each figure over its limit."""
        return [
            f"{figure.name} {figure.measured:.3g} is over the budget of {figure.limit:g}"
            for figure in self.budget
            if figure.limit is not None and not figure.within
        ]

    def with_score(self, score: Mapping[str, Any]) -> Certificate:
        """The same with the task's score."""
        return replace(self, score=dict(score))

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they are written beside the artifact."""
        plain = asdict(self)
        plain["budget"] = [figure.to_json() for figure in self.budget]
        plain["within_budget"] = self.within_budget
        plain["parity"] = None if self.parity is None else self.parity.to_json()
        return plain

    def write(self, artifact: Path) -> Path:
        """Write it beside the artifact, atomically; the path."""
        return write_json(certificate_path(artifact), self.to_json())


def certificate_path(artifact: Path) -> Path:
    """Where an artifact's certificate lies."""
    return artifact.with_name(artifact.name + SUFFIX)


def read_certificate(artifact: Path) -> dict[str, Any]:
    """The certificate of an artifact as plain values.

    Raises:
        FailedError: when there is none, or it belongs to another file.
    """
    path = certificate_path(artifact)
    if not path.is_file():
        raise FailedError(f"{artifact} has no certificate ({path.name}); make one with: hone export")
    found: dict[str, Any] = read_json(path)
    if found.get("artifact_hash") != file_hash(artifact):
        raise FailedError(f"{path} belongs to another file than {artifact.name}; its hash differs")
    return found


def cases_of(examples: Sequence[Example]) -> list[Case]:
    """Rendered examples as prompts with answers."""
    return [Case(ids=tuple(int(one) for one in item.ids), prompt_len=item.prompt_len) for item in examples]


@dataclass(frozen=True, kw_only=True, slots=True)
class Witness:
    """What an artifact is compared with."""

    renderer: Renderer
    """The task's renderer over the tokenizer that the model was trained with."""
    examples: Sequence[Example]
    """Rendered dev rows; their answers are compared. At least one."""
    original: Original | None
    """The float model; None when it cannot be run here."""
    texts: Sequence[str] = ()
    """Texts of the task whose ids are compared besides the awkward ones of :mod:`hone.deploy.certificate.corpus`."""
    max_new_tokens: int | None = None
    """Longest greedy answer compared; None: what the context leaves after the longest prompt."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Of model, tokenizer, data, for the record."""

    def longest_answer(self, cases: Sequence[Case], context: int) -> int:
        """New tokens that every prompt has room for, at most ``max_new_tokens``."""
        room = max(1, context - max(case.prompt_len for case in cases))
        return room if self.max_new_tokens is None else min(room, self.max_new_tokens)


def certify(artifact: Path, device: Device, witness: Witness) -> Certificate:
    """Open an artifact in a fresh process, measure it, compare it with its original.

    Args:
        artifact: the file; its suffix says which runtime opens it.
        device: the budget, and the threads, context and prompt length to measure with.
        witness: what it is compared with.

    Raises:
        FailedError: when the artifact does not open or its process dies.
    """
    cases = cases_of(witness.examples)
    if not cases:
        raise FailedError("a certificate needs at least one rendered example")
    original, encode, end_id = witness.original, witness.renderer.tokenizer.encode, witness.renderer.end_id
    with FreshProcess(artifact, threads=device.threads, context=device.context) as process:
        stored = process.metadata("hone.weights")
        bounds = weight_format(stored).bounds
        measured = measure(process, device, cases[0].ids[: cases[0].prompt_len])
        process.reopen(context=device.context, parallel=COMPARED_AT_ONCE)
        checked = [*AWKWARD_TEXTS, *witness.texts]
        failures = [f"token ids differ on {problem}" for problem in id_differences(encode, process, checked)]
        failures += _example_failures(process)
        parity = None
        if original is not None:
            limit = witness.longest_answer(cases, device.context)
            parity = compare(original, process, cases, end_id=end_id, max_new_tokens=limit, tie_nats=bounds.tie_nats)
            failures += parity_failures(parity, bounds)
        facts = process.facts()
        examples_checked = len(_stored(process))
    failures += [f"{name} was imported by the artifact's process" for name in facts["training_modules"]]
    status: Status = "converted" if failures else "certified" if original is not None else "contract-checked"
    return Certificate(
        status=status,
        failures=tuple(failures),
        artifact=artifact.name,
        artifact_hash=file_hash(artifact),
        weights=stored,
        runtime=runtime_of(artifact).version(),
        machine=machine().line(),
        modules_in_process=facts["modules"],
        training_modules=tuple(facts["training_modules"]),
        ids_checked=len(checked),
        examples_checked=examples_checked,
        measured=measured,
        budget=against(measured, device),
        parity=parity,
        bounds=bounds,
        hashes=dict(witness.hashes),
    )


def parity_failures(parity: Parity, bounds: Bounds) -> list[str]:
    """A sentence for each bound that does not hold."""
    # Written so that a NaN fails as well.
    failures = [] if parity.finite else ["the artifact gives probabilities that are not finite"]
    if not parity.kld_mean <= bounds.kld_mean:
        failures.append(f"the mean divergence of {parity.kld_mean:.3g} nats is over {bounds.kld_mean:g}")
    if not parity.same_top_or_tie >= bounds.same_top:
        failures.append(
            f"the most likely token is the original's (or tied with it) on {parity.same_top_or_tie:.2%} of "
            f"{parity.positions:,} positions; at least {bounds.same_top:.1%} is asked"
        )
    if not parity.greedy_agree_share >= bounds.greedy:
        failures.append(
            f"greedy answers agree on {parity.greedy_agree_share:.1%} of {parity.greedy_prompts} prompts; "
            f"at least {bounds.greedy:.0%} is asked"
        )
    if not parity.log_ratio_low <= bounds.perplexity_ratio - 1:
        failures.append(
            f"perplexity {parity.perplexity_artifact:.4g} against {parity.perplexity_original:.4g} is more than "
            f"{bounds.perplexity_ratio - 1:.1%} worse, also at the optimistic end of its interval"
        )
    return failures


def _example_failures(process: FreshProcess) -> list[str]:
    if not process.metadata("hone.renderer"):
        return ["the artifact carries no renderer, so it cannot be served alone"]
    try:
        return [f"a stored example renders differently: {problem}" for problem in process.example_problems()]
    except HoneError as error:
        return [f"the stored examples cannot be rendered from the artifact: {error}"]


def _stored(process: FreshProcess) -> list[Any]:
    import json

    return list(json.loads(process.metadata("hone.examples") or "[]"))
