"""The certificate of an artifact: what was compared, within which gates, and what the device has to say.

``certified``: its own runtime, in a fresh process without torch and transformers, matched the original within the
gates of its weight format. ``contract-checked``: it opened there and renders the stored examples and the corpus to the
same ids, but there was no original to compare with. ``converted``: something did not hold; ``failures`` says what.
The device budget is a matter of its own: a certified artifact can still be too large.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone.deploy.apart import told
from hone.deploy.artifact.folder import describe
from hone.deploy.certificate.cases import Case, cases_of, first_cases
from hone.deploy.certificate.corpus import AWKWARD_TEXTS
from hone.deploy.certificate.document import Certificate, Status, certificate_path, read_certificate
from hone.deploy.certificate.floats import BesideFloats, beside_floats
from hone.deploy.certificate.gates import Gate, leaves_score_open, none_of, parity_gates, score_gate, timing_gates
from hone.deploy.certificate.likeness import Likeness, compare_vectors, likeness_gates
from hone.deploy.certificate.original import EmbeddingOriginal, EncoderOriginal, Original
from hone.deploy.certificate.parity import Parity, compare, compare_encoder, id_differences
from hone.deploy.certificate.reach import reach_of
from hone.deploy.certificate.scoring import Comparison, compare_scores, few_rows
from hone.deploy.certificate.timing import Times, take_encoder_times, take_times
from hone.deploy.certificate.versions import versions
from hone.deploy.certificate.witness import EXTENTS, Extent, Size, Witness
from hone.deploy.measure import Measured, against, measured_here
from hone.deploy.process import FreshEncoder, FreshProcess
from hone.deploy.reading import head_of, session_logits
from hone.deploy.rendering import renderer_of, stored_examples
from hone.deploy.runtime import runtime
from hone.deploy.weights import Bounds, WeightFormat, weight_format
from hone.errors import FailedError, HoneError, InputError
from hone.evaluate.scoring import Evaluation
from hone.files import file_hash
from hone.hardware import machine
from hone.task.encoding import EncoderRenderer
from hone.task.render import first_difference
from hone.task.spec import Device

__all__ = ["Certificate", "Witness", "certificate_path", "certify", "read_certificate"]

AWARE = "aware"
ON_GRID = "training rounded the original to this grid already"
"""Of artifacts that were prepared so: their divergence and difference of score are of equal weights."""
NO_FLOATS = "what that cost against a model in floats is in no figure here"
COMPARED_AT_ONCE = 16
"""Sequences that the artifact computes together while it is compared."""


@dataclass(slots=True)
class _Found:
    """What came of the work in the fresh process."""

    measured: Measured
    times: Times
    gates: list[Gate]
    parity: Parity | None
    likeness: Likeness | None
    compared: Comparison | None
    evaluation: Evaluation | None
    facts: dict[str, Any]
    ids_checked: int
    examples_checked: int
    runtime: str


def certify(artifact: Path, device: Device, witness: Witness, size: Size = "quick") -> Certificate:
    """Open an artifact in a fresh process, measure it, compare it with its original.

    Args:
        artifact: its folder or its model file.
        device: the budget, and the threads, context and prompt length to measure with.
        witness: what it is compared with.
        size: ``quick`` for the loop: 2,000 answer positions, 64 rows or what decides, 3 timed runs. ``full`` for the
            verdict: 5,000 positions, all dev rows, 20 runs.

    Raises:
        InputError: for a full certificate without the task and its dev rows.
        FailedError: when the artifact does not open, its bytes have changed, or its process dies.
    """
    started = time.monotonic()
    cases, extent = _cases_for(witness, size), EXTENTS[size]
    encoder = isinstance(witness.renderer, EncoderRenderer)
    with opened(artifact, device, encoder=encoder) as process:
        weights = _weights_of(process)
        bounds = weights.format.gates(bool(weights.prepared))
        found = _examine(process, device, witness, cases, (weights.format, bounds), extent)
        floats = _floats(process, witness, weights, cases, extent)
        file = process.file
    failures = tuple(gate.sentence for gate in found.gates if not gate.holds)
    compared = witness.original is not None
    status: Status = "converted" if failures else "certified" if compared else "contract-checked"
    return Certificate(
        status=status,
        failures=failures,
        size=size,
        kind="encoder" if encoder else "decoder",
        artifact=file.name,
        artifact_hash=file_hash(file),
        weights=weights.format.name,
        prepared=weights.prepared,
        runtime=runtime(found.runtime).version(),
        runtime_name=found.runtime,
        machine=machine().line(),
        versions=versions(),
        modules_in_process=found.facts["modules"],
        training_modules=tuple(found.facts["training_modules"]),
        ids_checked=found.ids_checked,
        examples_checked=found.examples_checked,
        measured=found.measured,
        times=found.times,
        budget=against(found.measured, device),
        reach=reach_of(artifact, device.context, _compared(witness, cases, extent)),
        device=device.model_dump(mode="json", by_alias=True),
        parity=found.parity,
        likeness=found.likeness,
        bounds=bounds,
        gates=tuple(found.gates),
        compared=found.compared,
        score=None if found.compared is None else found.compared.artifact.to_json(),
        floats=floats,
        notes=(*_notes(witness, cases, found, extent, device), *_weight_notes(weights, witness, floats)),
        hashes=dict(witness.hashes),
        seconds=round(time.monotonic() - started, 2),
        evaluation=found.evaluation,
    )


def _cases_for(witness: Witness, size: Size) -> list[Case]:
    cases = cases_of(witness.examples, len(witness.renderer.soft_prompt))
    if not cases:
        raise FailedError("a certificate needs at least one rendered example")
    if size == "full" and (witness.task is None or not witness.rows):
        raise InputError("a full certificate scores all of dev: hand it the task and its dev rows, or ask for quick")
    return cases


def _compared(witness: Witness, cases: Sequence[Case], extent: Extent) -> list[Case]:
    """The texts that are compared with the original: of vectors all, of probabilities as many as are asked for."""
    if witness.original is None:
        return []
    vectors = isinstance(witness.original, EmbeddingOriginal)
    return list(cases if vectors else first_cases(cases, extent.positions))


def opened(artifact: Path, device: Device, *, encoder: bool) -> FreshProcess | FreshEncoder:
    """An artifact in a fresh process, as it is to be measured."""
    if encoder:
        return FreshEncoder(artifact, threads=device.threads, context=device.context)
    return FreshProcess(artifact, threads=device.threads, context=device.context)


def _examine(
    process: FreshProcess | FreshEncoder,
    device: Device,
    witness: Witness,
    cases: Sequence[Case],
    asked: tuple[WeightFormat, Bounds],
    extent: Extent,
) -> _Found:
    """Everything that needs the process; ``asked`` is the weight format with its gates."""
    weights, bounds = asked
    kind, prompt = witness.renderer.kind, cases[0].ids[: cases[0].prompt_len]
    if isinstance(process, FreshProcess):
        measured, times = take_times(process, device, prompt, extent.runs)
        process.reopen(context=device.context, parallel=COMPARED_AT_ONCE, threads=device.threads)
    else:
        measured, times = take_encoder_times(process, device, prompt, extent.runs, head_of(kind))
    texts = [*AWKWARD_TEXTS, *witness.texts]
    gates = [_ids_gate(process, witness, texts), _examples_gate(process, witness)]
    parity = _parity(process, device, witness, cases, bounds, extent)
    if parity is not None:
        gates += parity_gates(parity, bounds)
    likeness = None
    if isinstance(witness.original, EmbeddingOriginal) and isinstance(process, FreshEncoder):
        likeness = compare_vectors(witness.original, process, cases)
        gates += likeness_gates(likeness, weights, bounds)
    compared, evaluation = _scores(process, witness, extent) if gates[1].holds else (None, None)
    if compared is not None:
        gates.append(score_gate(compared))
    gates += timing_gates(times)
    facts = process.facts()
    gates.append(process_gate(facts))
    return _Found(
        measured=measured,
        times=times,
        gates=gates,
        parity=parity,
        likeness=likeness,
        compared=compared,
        evaluation=evaluation,
        facts=facts,
        ids_checked=len(texts),
        examples_checked=len(stored_examples(process)),
        runtime=process.runtime,
    )


def _parity(
    process: FreshProcess | FreshEncoder,
    device: Device,
    witness: Witness,
    cases: Sequence[Case],
    bounds: Bounds,
    extent: Extent,
) -> Parity | None:
    renderer, original = witness.renderer, witness.original
    taken = _compared(witness, cases, extent)
    if isinstance(original, EncoderOriginal):
        assert isinstance(process, FreshEncoder), "an encoder's original has an encoder's renderer"
        return compare_encoder(
            original,
            session_logits(process, renderer.kind),
            taken,
            several=renderer.kind == "multi-label",
            tie_nats=bounds.tie_nats,
        )
    if not isinstance(original, Original):
        return None
    assert isinstance(process, FreshProcess), "an original that writes has a renderer of answers"
    return compare(
        original,
        process,
        taken,
        end_id=renderer.end_id,
        max_new_tokens=witness.longest_answer(extent.greedy_tokens),
        bounds=bounds,
        context=device.context,
        greedy_prompts=extent.greedy_prompts,
        decode=renderer.tokenizer.decode,
    )


def _scores(
    process: FreshProcess | FreshEncoder, witness: Witness, extent: Extent
) -> tuple[Comparison | None, Evaluation | None]:
    """The task's score of both, where there are rows and an original.

    A quick certificate takes four times as many rows where few leave it open whether a point is lost, at last all.
    """
    original = witness.original
    if witness.task is None or not witness.rows or original is None or isinstance(original, EmbeddingOriginal):
        return None, None
    ours, theirs, most = (witness.renderer, original), (renderer_of(process), process), extent.rows
    while True:
        rows = witness.rows if most is None else few_rows(witness.renderer, witness.rows, most)
        found = compare_scores(witness.task, rows, ours, theirs, witness.max_new_tokens, witness.thresholds)
        if most is None or len(rows) == len(witness.rows) or not leaves_score_open(found[0]):
            return found
        most *= 4


def _ids_gate(process: FreshProcess | FreshEncoder, witness: Witness, texts: Sequence[str]) -> Gate:
    tokenizer = witness.renderer.tokenizer
    problems = id_differences(tokenizer.encode, process, texts)
    # An encoder writes nothing, so how it would read does not matter.
    for text in texts if isinstance(process, FreshProcess) and not problems else ():
        ids = tokenizer.encode(text)
        if (ours := tokenizer.decode(ids)) != (theirs := process.detokenize(ids)):
            problems.append(f"the ids of {text[:60]!r}, which read {ours[:60]!r} in training and {theirs[:60]!r} here")
    own = ", and texts of the task" if witness.texts else ""
    what = f"Unicode, leading spaces, text that looks special{own}"
    return none_of("token ids", problems, len(texts), "equal everywhere", what, "token ids differ on ")


def _examples_gate(process: FreshProcess | FreshEncoder, witness: Witness) -> Gate:
    """The stored examples, as the artifact alone renders them and as the trained renderer does."""
    stored = stored_examples(process)
    problems = _not_carried(stored, witness.stored)
    if not process.metadata("hone.renderer"):
        problems.append("the artifact carries no renderer, so it cannot be served alone")
    else:
        try:
            told = "a stored example renders differently: "
            problems += [f"{told}{problem}" for problem in process.example_problems()]
            problems += [f"{told}{problem}" for problem in _rendered_otherwise(stored, witness)]
        except HoneError as error:
            problems.append(f"the stored examples cannot be rendered from the artifact: {error}")
    return examples_gate(problems, max(len(stored), len(witness.stored)))


def examples_gate(problems: list[str], count: int) -> Gate:
    """The gate of ``count`` stored examples; an artifact that carries none cannot be checked where it is used."""
    if not count:
        problems = [
            "the artifact carries no stored example, so nothing shows that it renders as in training",
            *problems,
        ]
    return none_of(
        "stored examples", problems, max(count, len(problems)), "the same ids", "the artifact's renderer, alone"
    )


def _not_carried(stored: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]]) -> list[str]:
    """Stored examples of the model folder that the artifact does not hold as they are there."""
    lost = [item["row"] for item in given if item not in stored]
    return [f"the stored example {row} of the model's folder is not in the artifact" for row in lost]


def _rendered_otherwise(stored: Sequence[Mapping[str, Any]], witness: Witness) -> list[str]:
    """Stored examples that the trained renderer writes otherwise: the artifact was made with another template."""
    problems = []
    for item in stored:
        ours = witness.renderer.example(item["row"], item["fields"]).ids.tolist()
        place = first_difference(ours, item["ids"])
        if place is not None:
            here, there = ours[place : place + 1], item["ids"][place : place + 1]
            problems.append(f"row {item['row']}: id {place} is {there} in the artifact, {here} in training")
    return problems


def process_gate(facts: Mapping[str, Any]) -> Gate:
    """Nothing of the training side got into the artifact's process."""
    problems = [f"{name} was imported by the artifact's process" for name in facts["training_modules"]]
    return none_of(
        "fresh process", problems, max(1, len(problems)), "no torch, no transformers", "its modules at the end"
    )


@dataclass(frozen=True, slots=True)
class _Weights:
    """What an artifact says of its weights."""

    format: WeightFormat
    prepared: str
    """How they were prepared for it; empty: plain rounding."""
    kinds: str
    """JSON of the matrices that are stored otherwise; empty where none is."""


def _weights_of(process: FreshProcess | FreshEncoder) -> _Weights:
    said = describe(process.path) or {}
    return _Weights(
        weight_format(process.metadata("hone.weights") or said.get("weights", "")),
        process.metadata("hone.prepared") or said.get("prepared") or "",
        process.metadata("hone.kinds"),
    )


def _floats(
    process: FreshProcess | FreshEncoder, witness: Witness, weights: _Weights, cases: Sequence[Case], extent: Extent
) -> BesideFloats | None:
    """Of a model that was trained for its grid: beside the one in floats, where that is at hand."""
    if weights.prepared != AWARE or witness.floats is None:
        return None
    return beside_floats(process, witness, witness.floats, cases, weights.format.gates(True).tie_nats, extent)


def _weight_notes(weights: _Weights, witness: Witness, floats: BesideFloats | None) -> list[str]:
    """What of the weights the format's name and the other figures do not say."""
    notes = [told(json.loads(weights.kinds), weights.format.name)] if weights.kinds else []
    if weights.prepared == AWARE:
        why_not = f" ({witness.no_floats})" if witness.no_floats else ""
        notes.append(f"{ON_GRID}; {floats.line() if floats else NO_FLOATS + why_not}")
    return notes


def _notes(witness: Witness, cases: Sequence[Case], found: _Found, extent: Extent, device: Device) -> list[str]:
    """What was not compared or measured, or less than was asked for."""
    notes = [*witness.notes, *filter(None, [measured_here(device.device_class)])]
    positions = sum(len(case.predicted) for case in cases)
    if found.parity is not None and positions < extent.positions:
        notes.append(
            f"{positions:,} answer positions were compared, all that were given; {extent.positions:,} are meant"
        )
    if witness.original is None:
        notes.append("there was no original to compare with")
    elif found.compared is None:
        why = "no dev rows were given" if not witness.rows else "the artifact does not render its stored examples"
        notes.append(f"the task's score was not compared: {why}")
    if found.times.positions is None and not isinstance(witness.renderer, EncoderRenderer):
        notes.append(
            f"the cost by position was not measured: a context of {found.measured.context} is too short to tell"
        )
    return notes
