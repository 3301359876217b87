"""Random artifacts, made and measured in seconds to learn what a machine needs: model folders without torch."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hone.deploy.measure import memory_of, pace_of
from hone.deploy.process import FreshProcess
from hone.deploy.runtime import runtime
from hone.errors import HoneError
from hone.files import file_hash
from hone.model.footprint import Storage, blueprint
from hone.model.machine_fit import Measurement, features
from hone.model.presets import Shape, config_values
from hone.model.sizes import size_of
from hone.task.spec import Device
from hone.wording import counted

if TYPE_CHECKING:
    from hone.data.tokenizer import TextTokenizer

PROMPT = tuple(range(4, 260))
"""Ids of single bytes: every tokenizer of hone's has them."""
REPEATS = 9
YARDSTICK_RUNS = 100
DISTURBED = 1.15
"""A fixed piece of work may take this many times its least before what was measured beside it counts as disturbed."""
TRIES = 3
"""Processes that are started at most for one round of one artifact."""
STREAM_MB = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0)
"""Megabytes whose reading is timed: from a core's own cache to memory."""
STREAM_RUNS = 12
_SYLLABLES = 8_000
_EXAMPLES, _EXAMPLE_WORDS = 8, 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One artifact to be made: a shape in a format."""

    name: str
    shape: Shape
    storage: Storage


@dataclass(frozen=True, kw_only=True, slots=True)
class Probed:
    """What a fresh process told of a probe."""

    whole: Measurement
    """Every figure of the artifact."""
    empty: Measurement
    """Memory of the process with the runtime loaded and no model."""
    median_ms: float
    """Time per token of the median run; the one that counts is the quickest, because what else runs only ever adds."""
    disturbed: float = 0.0
    """By how much a fixed piece of work beside it took longer than it can, as a share; 0 where that is noise."""

    @property
    def unsteady(self) -> float:
        """What else ran on the machine, as a share of time.

        How much longer the median run took than the quickest, or the fixed piece of work than it can: the larger.
        """
        return max(self.disturbed, self.median_ms / self.whole.measured["ms_per_token"] - 1.0)


def random_texts(seed: int = 0, words: int = _SYLLABLES) -> list[str]:
    """Lines of made-up words, long enough for a vocabulary of some thousand entries; the same for a seed."""
    draw = random.Random(seed)
    syllables = [a + b for a in "bcdfghklmnprstvwyz" for b in ("a", "e", "i", "o", "u", "ai", "er", "on")]
    known = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(words)]
    return [" " + " ".join(draw.choices(known, k=12)) for _ in range(words // 2)]


def random_folder(shape: Shape, folder: Path, *, texts: Iterable[str] | None = None, seed: int = 0) -> Path:
    """A model folder of random weights, with a tokenizer of about ``shape.vocab`` entries and eight stored examples.

    Everything that an export needs, and what a real one carries: about as many bytes of texts around the weights.

    Args:
        shape: of the model.
        folder: made here.
        texts: what the tokenizer is trained on; made up without.
        seed: of the weights.
    """
    from safetensors.numpy import save_file

    from hone.data.tokenizer import train_tokenizer

    folder.mkdir(parents=True, exist_ok=True)
    lines = list(texts) if texts is not None else random_texts()
    tokenizer = train_tokenizer(lines, shape.vocab)
    draw = np.random.default_rng(seed)
    weights = {
        name: draw.standard_normal(of, dtype=np.float32) * np.float32(0.02) if len(of) == 2 else np.ones(of, np.float32)
        for name, of in size_of(shape).tensors.items()
    }
    save_file(weights, folder / "model.safetensors")
    architecture = "Qwen3ForCausalLM" if shape.arch == "qwen3" else "LlamaForCausalLM"
    config = {"model_type": shape.arch, "architectures": [architecture], "hidden_act": "silu", **config_values(shape)}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer.save(folder)
    hashes = {path.name: file_hash(path) for path in sorted(folder.iterdir())}
    described = {**_described(tokenizer, lines), "hashes": hashes}
    (folder / "hone.json").write_text(json.dumps(described), encoding="utf-8")
    return folder


def _described(tokenizer: TextTokenizer, lines: Sequence[str]) -> dict[str, object]:
    """What stands in ``hone.json`` of a model that answers texts with texts."""
    from hone.task.render import Renderer

    renderer = Renderer(
        kind="generate", input_template="{text}", output_template="{answer}", labels=(), tokenizer=tokenizer
    )
    words = " ".join(lines[:200]).split()[: _EXAMPLES * _EXAMPLE_WORDS]
    examples = []
    for number in range(_EXAMPLES):
        own = words[number * _EXAMPLE_WORDS : (number + 1) * _EXAMPLE_WORDS]
        row = {"text": " ".join(own), "answer": " ".join(own[:4])}
        examples.append(renderer.stored_example(f"train.jsonl:{number + 1}", row))
    return {"format": 1, "renderer": renderer.to_json(), "examples": examples, "task": "probe", "kind": "generate"}


def stream_curve() -> tuple[tuple[float, float], ...]:
    """How long one core of this machine reads so many megabytes that it read before, in milliseconds.

    The quickest of many: what else runs only adds. The curve bends where a cache ends, and never falls.
    """
    found: list[tuple[float, float]] = []
    for megabytes in STREAM_MB:
        values = np.ones(int(megabytes * 1e6 / 4), np.int32)
        values.max()
        runs = []
        for _ in range(max(STREAM_RUNS, int(64 / megabytes))):
            started = time.perf_counter()
            values.max()
            runs.append((time.perf_counter() - started) * 1e3)
        found.append((megabytes, max(min(runs), found[-1][1] if found else 0.0)))
    return tuple(found)


def device_of(shape: Shape, device: Device) -> Device:
    """The device with the context and the prompt of a probe: its own context, and no longer a prompt than that has."""
    prompt = min(device.prompt_tokens, shape.context // 2)
    return device.model_copy(update={"context": shape.context, "prompt_tokens": prompt})


def export_probe(probe: Probe, model: Path, out: Path) -> Path:
    """The artifact of a probe's model folder, in its own folder ``out``."""
    found = runtime(probe.storage.runtime)
    out.mkdir(parents=True, exist_ok=True)
    to = out / f"model{found.suffix}" if found.suffix == ".gguf" else out
    return found.export(model, probe.storage.name, to)


def measured_in_turns(
    made: Sequence[tuple[Probe, Path]], device: Device, rounds: int, say: Callable[[str], None]
) -> dict[str, list[Probed]]:
    """Figures of artifacts by name, one list entry for each round; every second round in the opposite order.

    What a machine does beside comes and goes within seconds, and makes everything slower by half while it lasts. So a
    fixed piece of work is timed before and after each process: where it took longer than it can, the process is
    measured again, at most :data:`TRIES` times, and only undisturbed ones count where there are any. An artifact that
    cannot be measured is said and left out.
    """
    found: dict[str, list[tuple[float, Probed]]] = {probe.name: [] for probe, _ in made}
    least = yardstick_ms()
    left = rounds * len(made)
    for turn in range(rounds):
        for probe, artifact in made if turn % 2 == 0 else list(made)[::-1]:
            left -= 1
            if probe.name not in found:
                continue
            for _ in range(TRIES):
                before = yardstick_ms()
                try:
                    one = measured_probe(probe, artifact, device)
                except HoneError as error:
                    del found[probe.name]
                    say(f"{probe.name} could not be measured, so {probe.storage.runtime} may be left out: {error}")
                    break
                longest = max(before, yardstick_ms())
                found[probe.name].append((longest, one))
                least = min(least, before, longest)
                if longest <= DISTURBED * least:
                    break
            if probe.name in found:
                say(f"measured: {probe.name}, {counted(device.threads, 'thread')}; {left} more")
    return {name: _undisturbed(listed, least) for name, listed in found.items()}


def _undisturbed(listed: Sequence[tuple[float, Probed]], least: float) -> list[Probed]:
    """Those beside which the fixed piece of work took its time; all, where there are none."""
    quiet = [one for longest, one in listed if longest <= DISTURBED * least]
    return quiet or [replace(one, disturbed=longest / least - 1.0) for longest, one in listed]


def yardstick_ms() -> float:
    """Milliseconds of a fixed piece of work on one core, within its own cache: the median of many."""
    values = np.random.default_rng(0).random(1 << 16, dtype=np.float32)
    runs = []
    for _ in range(YARDSTICK_RUNS):
        started = time.perf_counter()
        np.sort(values)
        runs.append((time.perf_counter() - started) * 1e3)
    return statistics.median(runs)


def median_of(probed: Sequence[Probed]) -> Probed:
    """One artifact's rounds as one: the median of each."""
    first = probed[0]
    figures = {key: statistics.median(one.whole.measured[key] for one in probed) for key in first.whole.measured}
    ram_mb = statistics.median(one.empty.measured["ram_mb"] for one in probed)
    return Probed(
        whole=replace(first.whole, measured=figures),
        empty=replace(first.empty, measured={"ram_mb": ram_mb}),
        median_ms=statistics.median(one.median_ms for one in probed),
        disturbed=statistics.median(one.disturbed for one in probed),
    )


def measured_probe(probe: Probe, artifact: Path, device: Device, repeats: int = REPEATS) -> Probed:
    """Figures of an artifact in a fresh process, as a certificate takes them, but for the token of the quickest run.

    Args:
        probe: what the artifact is.
        artifact: its file.
        device: threads; context and length of the prompt are the probe's (:func:`device_of`).
        repeats: timed runs.
    """
    own = device_of(probe.shape, device)
    with FreshProcess(artifact, threads=own.threads, context=own.context) as process:
        pace = pace_of(process, own, PROMPT, repeats)
        process.time("time_prompts", PROMPT, lengths=[own.context - 1], repeats=1)
        memory = memory_of(process, process.facts())
    figures = {
        "size_mb": memory["size_mb"],
        "ram_mb": memory["ram_mb"],
        "first_token_ms": pace.first_token_p50_ms,
        "ms_per_token": min(pace.runs),
    }
    found = features(blueprint(probe.shape), probe.storage, own)
    empty = Measurement(
        name=f"{probe.storage.runtime} without a model",
        features={"ram_mb": {"process": 1.0}},
        measured={"ram_mb": memory["without_model_mb"]},
    )
    whole = Measurement(name=probe.name, features=found, measured=figures)
    return Probed(whole=whole, empty=empty, median_ms=statistics.median(pace.runs))
