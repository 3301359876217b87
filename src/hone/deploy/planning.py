"""What this machine needs for a model, fitted once and kept; weight formats as the planner takes them.

A fit belongs to one machine, runtime, its version and a number of threads. It is kept in the user's cache folder; with
another processor, number of cores or version it is measured anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hone.deploy.gguf import mixtures
from hone.deploy.onnx import kinds
from hone.deploy.probing import (
    Probe,
    Probed,
    export_probe,
    measured_in_turns,
    median_of,
    random_folder,
    stream_curve,
)
from hone.deploy.runtime import RUNTIMES, runtime
from hone.deploy.weights import FORMATS, WeightFormat
from hone.errors import FailedError, HoneError, InputError
from hone.files import content_hash, read_json, write_json
from hone.hardware import cache_folder, machine, usable_cores
from hone.model.footprint import Blueprint, Storage, Stored, stored_as
from hone.model.machine_fit import METHOD_ERROR, Constants, MachineFit, Stream, fit
from hone.model.plan import NAMES, UNITS, Planner, limits_of
from hone.model.presets import Shape
from hone.model.published import published_fit
from hone.task.spec import THIS_MACHINE, Device
from hone.wording import counted

Say = Callable[[str], None]
MOST_PROBES = 4
"""Artifacts that are made to learn a machine, of all runtimes together."""
ROUNDS = 3
"""Fresh processes of each; the median counts."""
UNSTEADY = 0.15
"""A median run may take this much longer than the quickest before a person is told."""
SMALL = Shape(hidden=128, layers=6, heads=4, kv_heads=4, ffn=384, vocab=1024, context=256, arch="qwen3")
"""Much per call and few bytes, which stay near the core: what tokens and layers cost."""
WIDE = Shape(hidden=512, layers=3, heads=8, kv_heads=8, ffn=1536, vocab=4096, context=512, arch="qwen3")
"""Many bytes in few layers: what bytes and arithmetic cost."""
REFERENCE: dict[str, Constants] = {
    "gguf": {
        "size_mb": {"weights": 1.0, "file": 0.005, "tensors": 0.00007, "vocabulary": 0.0358},
        "ram_mb": {
            "process": 55.0,
            "session": 8.0,
            "hold any": 1.0,
            "hold q4_0": 1.9,
            "cache": 1.0,
            "activations": 0.6,
            "vocabulary": 0.5,
        },
        "first_token_ms": {
            "prompt": 0.5,
            "layers": 0.15,
            "multiply any": 22.0,
            "multiply q8_0": 20.0,
            "multiply q4_0": 16.5,
            "multiply f16": 30.0,
            "multiply f32": 35.0,
        },
        "ms_per_token": {
            "token": 0.01,
            "layers": 0.02,
            "read": 1.0,
            "unpack any": 0.037,
            "rows any": 0.0033,
            "rows q4_0": 0.0003,
            "cache": 0.02,
        },
    },
    "onnx": {
        "size_mb": {"weights": 1.0, "file": 0.005, "tensors": 0.0005, "vocabulary": 0.0001},
        "ram_mb": {
            "process": 66.0,
            "session": 13.0,
            "hold any": 1.1,
            "hold fp16": 2.0,
            "cache": 1.5,
            "activations": 1.5,
            "vocabulary": 0.5,
        },
        "first_token_ms": {
            "prompt": 0.5,
            "layers": 0.2,
            "multiply any": 15.0,
            "multiply int4-g16": 16.5,
            "multiply int4-g64": 14.5,
            "multiply int4-g128": 12.0,
        },
        "ms_per_token": {
            "token": 0.013,
            "layers": 0.033,
            "read": 1.0,
            "unpack any": 0.022,
            "unpack int4-g16": 0.03,
            "unpack int4-g64": 0.02,
            "unpack int4-g128": 0.015,
            "rows any": 0.0003,
            "cache": 0.02,
        },
    },
}
"""Constants to begin from, by runtime: one thread of a server's processor, in round figures. A fit scales them and then
moves each; what they decide is how formats that were not measured stand to those that were. Those of a token's time are
of random models of 128 to 448 columns and 2 to 10 layers, none of them a preset. llama.cpp packs the rows of Q4_0 by
eights when it loads them and multiplies those of Q8_0 one by one, so that rows cost apart from weights. ONNX Runtime's
products take longer the more scales a row has: those of other groups of 4 bits stand to the usual one as products alone
(128 to 1,536 columns, 1 and 64 tokens) did."""


def storages(runtimes: Sequence[str] = tuple(RUNTIMES)) -> tuple[Storage, ...]:
    """Every weight format of these runtimes, as the planner takes it."""
    return tuple(storage_of(one) for one in FORMATS.values() if one.runtime in runtimes)


def storage_of(weights: WeightFormat) -> Storage:
    """A format with its layout: which matrix is stored as what, as its runtime's writer decides.

    llama.cpp keeps keys and values in 16 bits beside weights of fewer than 32, ONNX Runtime always in 32.
    """
    room: Any = mixtures if weights.runtime == "gguf" else kinds

    def layout(model: Blueprint) -> tuple[Stored, ...]:
        kind_of = room.matrix_kinds(model.tensors, weights.name)
        return stored_as(model, lambda name: _as_stored(room, kind_of[name]))

    return Storage(
        name=weights.name,
        runtime=weights.runtime,
        bits=weights.bits,
        cache_value_bytes=4 if weights.runtime == "onnx" or weights.bits == 32 else 2,
        layout=layout,
    )


def _as_stored(room: Any, kind: str) -> tuple[str, float, int]:
    return kind, room.KIND_BITS[kind], room.KIND_BLOCK[kind]


def probes(runtimes: Sequence[str]) -> list[Probe]:
    """The artifacts that a fit is made of: of each runtime a small and a wide one, in the formats that matter most."""
    formats = {"gguf": ("q8_0", "q4_0"), "onnx": ("int8", "int4")}
    each = MOST_PROBES // len(runtimes)
    found = []
    for name in runtimes:
        many, few = (storage_of(FORMATS[one]) for one in formats[name])
        listed = [("small", SMALL, few), ("wide", WIDE, many), ("wide", WIDE, few), ("small", SMALL, many)]
        found += [Probe(name=f"{label} {of.name}", shape=shape, storage=of) for label, shape, of in listed[:each]]
    return found


def fits_of_this_machine(device: Device, say: Say, *, anew: bool = False) -> dict[str, MachineFit]:
    """A fit of every runtime for the device's threads: kept ones, or measured now where one is missing or old.

    Args:
        device: says the threads.
        say: takes a line for each artifact that is measured.
        anew: measure even where fits are kept.

    Raises:
        FailedError: when no runtime could be measured.
    """
    kept = {} if anew else stored_fits(device.threads)
    if set(kept) == set(RUNTIMES):
        _say_busy(kept, say)
        return kept
    found = measure_machine(device, say)
    for one in found.values():
        file = _file(one.runtime, one.threads)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, one.to_json())
        except (OSError, FailedError) as error:
            say(f"the fit of {one.runtime} could not be kept, so the next plan measures again: {error}")
    return found


def fits_of_class(name: str) -> dict[str, MachineFit]:
    """A fit of every runtime for a class of devices that others measured.

    Raises:
        InputError: for an unknown class, with the nearest one.
    """
    return {each: published_fit(name, each, own) for each, own in REFERENCE.items()}


def measure_machine(device: Device, say: Say) -> dict[str, MachineFit]:
    """Make the probes in a temporary folder, measure each in fresh processes by turns, and fit.

    Raises:
        InputError: for more threads than this machine has cores: they would wait for each other.
        FailedError: when no runtime could be measured.
    """
    if device.threads > usable_cores():
        raise InputError(
            f"device.threads {device.threads}: this machine has {counted(usable_cores(), 'core')} to use, so it cannot "
            f"be measured with more threads; plan with --set device.threads={usable_cores()}, or for another --class"
        )
    with tempfile.TemporaryDirectory(prefix="hone-plan-") as folder:
        made = made_probes(Path(folder), say)
        say(f"measuring this machine: {counted(len(made), 'small artifact')}, {ROUNDS} times each by turns")
        found = measured_in_turns(made, device, ROUNDS, say)
    fits = fits_of(made, found, device.threads)
    _say_busy(fits, say)
    return fits


def made_probes(folder: Path, say: Say) -> list[tuple[Probe, Path]]:
    """The artifacts that a fit is made of, in a folder; one that cannot be exported is said and left out."""
    made: list[tuple[Probe, Path]] = []
    models: dict[Shape, Path] = {}
    for number, probe in enumerate(probes(tuple(RUNTIMES)), start=1):
        if probe.shape not in models:
            models[probe.shape] = random_folder(probe.shape, folder / f"model-{len(models)}")
        try:
            made.append((probe, export_probe(probe, models[probe.shape], folder / str(number))))
        except HoneError as error:
            say(f"{probe.name} could not be exported, so {probe.storage.runtime} may be left out: {error}")
    return made


def fits_of(
    made: Sequence[tuple[Probe, Path]], found: Mapping[str, Sequence[Probed]], threads: int
) -> dict[str, MachineFit]:
    """A fit of every runtime from what its probes' rounds told.

    Raises:
        FailedError: when no runtime could be measured.
    """
    own: dict[str, list[Probed]] = {}
    for probe, _ in made:
        if probe.name in found:
            own.setdefault(probe.storage.runtime, []).append(median_of(found[probe.name]))
    if not own:
        raise FailedError("no runtime could be measured on this machine; hone doctor says what is missing")
    unsteady = max(one.unsteady for listed in own.values() for one in listed)
    stream = stream_curve()
    return {name: fit_of(name, threads, listed, stream, unsteady) for name, listed in own.items()}


def _say_busy(fits: Mapping[str, MachineFit], say: Say) -> None:
    """Said whenever such a fit is used, not only when it is made."""
    unsteady = max(one.unsteady for one in fits.values())
    if unsteady > UNSTEADY:
        say(
            f"the machine was busy when measured: work took {unsteady:.0%} longer than it can, "
            "so times may be off by that much or more; measure again on a quiet machine with --measure"
        )


def fit_of(name: str, threads: int, probed: Sequence[Probed], stream: Stream = (), unsteady: float = 0.0) -> MachineFit:
    """The fit of one runtime on this machine; runs that differ from each other widen the error of times.

    ``unsteady`` is that of all runtimes together: what keeps a machine busy slows each of them.
    """
    unsteady = max(unsteady, *(one.unsteady for one in probed))
    times = {figure: max(METHOD_ERROR[figure], unsteady) for figure in ("first_token_ms", "ms_per_token")}
    measurements = [one for each in probed for one in (each.whole, each.empty)]
    # The size is counted; of what no probe measured the reference alone says nothing about this machine.
    known = {figure for one in measurements for figure in one.measured} | {"size_mb"}
    return fit(
        measurements,
        {figure: own for figure, own in REFERENCE[name].items() if figure in known},
        least_errors={**METHOD_ERROR, **times},
        stream=stream,
        unsteady=unsteady,
        name=THIS_MACHINE,
        runtime=name,
        threads=threads,
        versions=versions(name),
        date=datetime.now(UTC).date().isoformat(),
        source=f"{len(probed)} random artifacts measured here",
    )


def versions(name: str) -> dict[str, str]:
    """What a fit depends on: another value of any asks for another fit."""
    here = machine()
    found = {"cpu": here.cpu, "cores": str(here.cores), "runtime": runtime(name).version()}
    return found | {"reference": content_hash(REFERENCE[name], 8)}


def stored_fits(threads: int) -> dict[str, MachineFit]:
    """Fits of this machine that are kept and still hold; one that is damaged or of another version is left out."""
    found = {}
    for name in RUNTIMES:
        file = _file(name, threads)
        if not file.is_file():
            continue
        try:
            value = read_json(file)
            if isinstance(value, dict) and value.get("versions") == versions(name):
                found[name] = MachineFit.from_json(value)
        except (HoneError, OSError):
            continue  # as if there were none: it is measured anew, which is said
    return found


def verdict_line(name: str, model: Blueprint, device: Device) -> str | None:
    """One line on whether a model is expected to hold a device's budget; nothing is measured.

    From the fits of this machine that are kept, or the published figures of the device's class. None where this machine
    has no fit for the device's threads, or the device has no limit.
    """
    limits, own = limits_of(device), device.device_class
    fits = stored_fits(device.threads) if own == THIS_MACHINE else fits_of_class(own)
    if not fits or not limits:
        return None
    head = "plan:" if own == THIS_MACHINE else f"plan for {own}, from published figures:"
    plan = Planner(device, storages(tuple(fits)), fits).plan(name, model, {})
    chosen = plan.chosen
    if plan.undecided is not None:
        missing = ", ".join(NAMES[one] for one in plan.undecided.not_known)
        return f"{head} it is not known whether {name} holds the device's budget: no figure for {missing}"
    if chosen is None:
        return f"{head} {name} is expected to hold the device's budget in no format; hone plan says what to change"
    figures = ", ".join(
        f"{NAMES[one]} {chosen.estimates[one].value:.3g} of {limit:g} {UNITS[one]}"
        for one, limit in limits.items()
        if one in chosen.estimates
    )
    held = f"{head} {name} is expected to hold the device's budget in {chosen.storage.name}: {figures}"
    return "; ".join(filter(None, [held, chosen.unsure(device)]))


def _file(name: str, threads: int) -> Path:
    here = machine()
    return cache_folder() / "fits" / f"{name}-{threads}-{content_hash([here.cpu, here.cores])}.json"
