"""Measuring a certified artifact again: after an upgrade of its runtime, on another machine, or just to be sure.

Without the original everything that needs none is done anew: the hash, ids and golden answers, the stored examples,
finite probabilities, times, memory, versions. What was compared with the original stands as it was, and says so; by
another version of the runtime than it was compared with, an artifact is ``contract-checked`` until it is compared anew.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hone.deploy.artifact.folder import artifact_folder, check_whole, describe
from hone.deploy.certificate.certify import certify, examples_gate, opened, process_gate
from hone.deploy.certificate.document import (
    compared_before,
    minute,
    read_certificate,
    was_compared,
    write_certificate,
)
from hone.deploy.certificate.gates import Gate, none_of, timing_gates
from hone.deploy.certificate.timing import take_encoder_times, take_times
from hone.deploy.certificate.versions import versions
from hone.deploy.certificate.witness import EXTENTS, Size, Witness
from hone.deploy.measure import against, all_within
from hone.deploy.process import FreshEncoder, FreshProcess
from hone.deploy.reading import head_of
from hone.deploy.rendering import stored_examples
from hone.deploy.runtime import runtime
from hone.errors import FailedError, HoneError
from hone.files import read_json
from hone.hardware import machine
from hone.lab.record import now
from hone.task.spec import Device

GOLDEN = "golden.json"
TOLD_FROM = 0.1
"""Changes of a figure below this share are not told: times are never twice the same."""
LOADED = 2.0
"""...and of opening, which is timed once, below a doubling."""
LESS = ("stored examples", "finite")
"""Gates that are measured with less here: without the trained renderer, at the stored examples alone."""
CARRIED = "divergence, greedy answers and score are those of"
FIGURES = ("size_mb", "ram_mb", "load_ms", "first_token_ms", "ms_per_token")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recertified:
    """What came of measuring again, as plain values of a certificate."""

    certificate: dict[str, Any]
    stored: dict[str, Any]
    """The certificate that lay beside the artifact."""
    changes: tuple[str, ...]
    """What is different now: versions, and figures by a tenth or more."""
    failures: tuple[str, ...]
    """What does not hold any more; empty when it may go on as it is."""


def recertify(
    artifact: Path,
    device: Device | None = None,
    witness: Witness | None = None,
    *,
    why_not: str = "",
    write: bool = False,
) -> Recertified:
    """Measure an artifact again and compare with its certificate.

    Args:
        artifact: its folder or its model file.
        device: the budget; by default that of its certificate.
        witness: with it everything is compared anew, as :func:`hone.deploy.certificate.certify.certify` does.
        why_not: why there is no witness, for the record.
        write: put the new certificate in the place of the old one.

    Raises:
        FailedError: when there is no certificate, the file has changed, or it does not open.
    """
    stored = read_certificate(artifact)
    if "gates" not in stored:
        raise FailedError(f"the certificate of {artifact} is of an older version; export it again")
    check_whole(artifact)
    size: Size = stored["size"]
    device = device or Device.model_validate(stored["device"])
    if witness is not None:
        fresh = _with_golden(artifact, device, certify(artifact, device, witness, size).to_json())
    else:
        fresh = _measured_again(artifact, device, stored, size, why_not)
    if "test" in stored:  # of the sealed test, which is read once
        fresh["test"] = stored["test"]
    if write:
        write_certificate(artifact, fresh)
    changes = (*_not_compared(fresh), *_versions_changed(stored, fresh), *_figures_changed(stored, fresh))
    return Recertified(certificate=fresh, stored=stored, changes=changes, failures=tuple(fresh["failures"]))


def _with_golden(artifact: Path, device: Device, fresh: dict[str, Any]) -> dict[str, Any]:
    """A certificate that was compared anew, with the golden answers tried too."""
    with opened(artifact, device, encoder=fresh["kind"] == "encoder") as process:
        golden = _golden_gates(artifact, process)
    failures = [*fresh["failures"], *(gate.sentence for gate in golden if not gate.holds)]
    status = "converted" if failures else fresh["status"]
    gates = [*fresh["gates"], *(gate.to_json() for gate in golden)]
    return {**fresh, "status": status, "failures": failures, "gates": gates}


def _measured_again(
    artifact: Path, device: Device, stored: Mapping[str, Any], size: Size, why_not: str
) -> dict[str, Any]:
    started, runs = time.monotonic(), EXTENTS[size].runs
    with opened(artifact, device, encoder=stored["kind"] == "encoder") as process:
        examples = stored_examples(process)
        prompt = examples[0]["ids"][: examples[0]["prompt_len"]] if examples else [0]
        if isinstance(process, FreshProcess):
            measured, times = take_times(process, device, prompt, runs)
            process.reopen(context=device.context, parallel=1, threads=device.threads)
        else:
            measured, times = take_encoder_times(process, device, prompt, runs, head_of(_kind_of(artifact)))
        gates = [_examples_gate(process, len(examples)), *_golden_gates(artifact, process)]
        gates += _finite_gates(process, examples)
        gates += timing_gates(times)
        facts = process.facts()
        gates.append(process_gate(facts))
        name = process.runtime
    merged = _merged(stored, gates)
    failures = [gate["sentence"] for gate in merged if not gate["holds"]]
    budget = against(measured, device)
    now_is = runtime(name).version()
    return {
        **stored,
        "status": "converted" if failures else _status_of(stored, now_is),
        "failures": failures,
        "runtime": now_is,
        "machine": machine().line(),
        "versions": versions(),
        "modules_in_process": facts["modules"],
        "training_modules": list(facts["training_modules"]),
        "measured": asdict(measured),
        "times": times.to_json(),
        "budget": [figure.to_json() for figure in budget],
        "within_budget": all_within(budget),
        "device": device.model_dump(mode="json", by_alias=True),
        "reach": _reach(stored, device),
        "gates": merged,
        "notes": [*_old_notes(stored), _carried(stored, why_not)],
        "seconds": round(time.monotonic() - started, 2),
        "made": now(),
        "compared_at": _compared_at(stored),
    }


def _reach(stored: Mapping[str, Any], device: Device) -> dict[str, Any] | None:
    """What was compared as it stood, in the context that is measured now."""
    known = stored.get("reach")
    if known is None:
        return None
    own = known["model_context"]
    return {**known, "measured_context": device.context if own is None else min(device.context, own)}


def _kind_of(artifact: Path) -> str:
    return str((describe(artifact) or {}).get("kind", "classify"))


def _examples_gate(process: FreshProcess | FreshEncoder, count: int) -> Gate:
    try:
        problems = [f"a stored example renders differently: {problem}" for problem in process.example_problems()]
    except HoneError as error:
        problems = [f"the stored examples cannot be rendered from the artifact: {error}"]
    return examples_gate(problems, count)


def _golden_gates(artifact: Path, process: FreshProcess | FreshEncoder) -> list[Gate]:
    """Ids and answers as they were when the artifact was made; none for a model file that stands alone."""
    from hone.deploy.artifact.golden import golden_problems

    folder = artifact_folder(artifact)
    if folder is None or not (folder / GOLDEN).is_file():
        return []
    golden = read_json(folder / GOLDEN)
    count = len(golden["vectors"]) + len(golden["texts"])
    problems = golden_problems(process, golden)
    lead = "it no longer gives its golden answers: "
    return [none_of("golden answers", problems, count, "all as written down", "every vector of golden.json", lead)]


def _finite_gates(process: FreshProcess | FreshEncoder, examples: list[Any]) -> list[Gate]:
    """Probabilities over the stored examples; an encoder's are seen by its golden answers."""
    ids = [item["ids"] for item in examples if len(item["ids"]) <= process.context]
    if isinstance(process, FreshEncoder) or not ids:
        return []
    tables = process.logprobs(ids)
    finite = not any(bool((np.isnan(table) | np.isposinf(table)).any()) for table in tables)
    problems = [] if finite else ["the artifact gives probabilities that are not finite"]
    return [none_of("finite", problems, 1, "all", f"every probability of {len(ids)} stored examples")]


def _merged(stored: Mapping[str, Any], fresh: list[Gate]) -> list[dict[str, Any]]:
    """The stored gates with those that were measured anew in their places, new ones at the end.

    What is measured with less than the original gave can break a gate, and mend none.
    """
    anew = {gate.name: gate.to_json() for gate in fresh}
    kept = []
    for gate in stored["gates"]:
        again = anew.pop(gate["name"], gate)
        kept.append(gate if gate["name"] in LESS and not gate["holds"] else again)
    return [*kept, *anew.values()]


def _status_of(stored: Mapping[str, Any], now_is: str) -> str:
    """Certified is what was compared with its original by the runtime of now, and by no other version of it."""
    compared = was_compared(stored) and _compared_at(stored)["runtime"] == now_is
    return "certified" if compared else "contract-checked"


def _compared_at(stored: Mapping[str, Any]) -> dict[str, Any]:
    return dict(stored.get("compared_at") or {"made": stored["made"], "runtime": stored["runtime"]})


def _carried(stored: Mapping[str, Any], why_not: str) -> str:
    at = _compared_at(stored)
    why = f" ({why_not})" if why_not else ""
    return f"{CARRIED} {minute(at['made'])} with {at['runtime']}: no original was at hand this time{why}"


def _not_compared(fresh: Mapping[str, Any]) -> list[str]:
    """That a certificate of another version of the runtime says nothing of this one, and why it was not compared."""
    if not compared_before(fresh):
        return []
    carried = next(line for line in fresh["notes"] if line.startswith(CARRIED))
    return [f"contract-checked by {fresh['runtime']}: {compared_before(fresh)}; {carried}"]


def _old_notes(stored: Mapping[str, Any]) -> list[str]:
    return [line for line in stored["notes"] if not line.startswith(CARRIED)]


def _versions_changed(stored: Mapping[str, Any], fresh: Mapping[str, Any]) -> list[str]:
    before, after = stored["versions"], fresh["versions"]
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    found = [f"{name}: {before.get(name, 'not there')} then, {after.get(name, 'not there')} now" for name in names]
    if stored["machine"] != fresh["machine"]:
        found.append(f"another machine: {fresh['machine']}")
    return found


def _figures_changed(stored: Mapping[str, Any], fresh: Mapping[str, Any]) -> list[str]:
    found = []
    for name in FIGURES:
        before, after = stored["measured"][name], fresh["measured"][name]
        if before and after and abs(after / before - 1) >= TOLD_FROM and _beyond_noise(name, stored, fresh):
            found.append(f"{name}: {before:.3g} then, {after:.3g} now ({after / before - 1:+.0%})")
    return found


def _beyond_noise(name: str, stored: Mapping[str, Any], fresh: Mapping[str, Any]) -> bool:
    """Whether a figure differs by more than the timed runs of one measurement do; sizes are never noise."""
    before, after = stored["measured"][name], fresh["measured"][name]
    if name == "load_ms":  # of which there is one only
        return bool(max(before, after) >= LOADED * min(before, after))
    if name not in ("first_token_ms", "ms_per_token"):
        return True
    less, more = sorted((_own_pace(stored), _own_pace(fresh)), key=lambda pace: float(pace["first_token_p50_ms"]))
    if name == "first_token_ms":
        return bool(more["first_token_p50_ms"] > less["first_token_p95_ms"])
    return bool(max(less["runs"]) < min(more["runs"]) or max(more["runs"]) < min(less["runs"]))


def _own_pace(certificate: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was timed with the device's threads."""
    threads = certificate["device"]["threads"]
    return next(one for one in certificate["times"]["by_threads"] if one["threads"] == threads)
