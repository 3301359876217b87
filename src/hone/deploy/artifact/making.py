"""Export and certify as one act: an artifact takes its name only when its own runtime matched the original."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hone.deploy.apart import NOTHING_APART, Apart
from hone.deploy.artifact.assembling import runner_files
from hone.deploy.artifact.card import add_test, has_modelfile, write_card
from hone.deploy.artifact.describing import About, Origin, description
from hone.deploy.artifact.folder import HONE_FILE, model_file
from hone.deploy.artifact.golden import MOST_NEW_TOKENS, golden_of
from hone.deploy.artifact.ollama import modelfile
from hone.deploy.artifact.overhead import overhead_bytes
from hone.deploy.certificate.certify import Certificate, Witness, certify
from hone.deploy.certificate.original import Original
from hone.deploy.certificate.witness import Size
from hone.deploy.process import FreshEncoder, FreshProcess
from hone.deploy.runtime import runtime
from hone.deploy.tensors import Tensors
from hone.deploy.weights import Prepared, WeightFormat, formats_within, kind_bits, stored_bytes, weight_format
from hone.errors import FailedError
from hone.files import atomic_write, clear_parts, part_folder, read_json, replace_folder, write_json
from hone.task.encoding import EncoderRenderer
from hone.task.spec import Device

GOLDEN, MODELFILE, TOKENIZER = "golden.json", "Modelfile", "tokenizer.json"


def artifact_name(stem: str, weights: WeightFormat, apart: Apart = NOTHING_APART, *, mixed: bool = False) -> str:
    """The name of an artifact's folder, such as ``voice-run0007-gguf-q8_0``, or ``...-q4_0-emb-q8_0``, ``...-mixed``.

    What is stored otherwise than the format says is in the name: such files lie side by side, and none replaces
    another. How matrices were rounded is not: it changes values, and no sizes.
    """
    own = kind_bits(weights)
    ends = [
        f"{place}-{kind}" for place, kinds in (("emb", apart.embedding), ("head", apart.head)) for kind in kinds
        if kind in own
    ]  # fmt: skip
    return "-".join([stem, weights.runtime, weights.name, *ends, *(["mixed"] if mixed else [])])


def export_certified(
    model: Path,
    out: Path,
    weights: str,
    device: Device,
    witness: Witness,
    *,
    prepared: Prepared | None = None,
    origin: Origin | None = None,
    size: Size = "quick",
) -> Certificate:
    """Export a model folder as the artifact folder ``out``, certify it, and put everything beside it that it needs.

    The runtime is the one that the weight format belongs to. Over the device's budget is no failure here: the
    certificate says so and the caller decides.

    Raises:
        InputError: when this model cannot be stored in this format.
        FailedError: when the artifact does not match its original. Nothing is left then (law 8), and the error
            holds the figures; an older artifact of that name is untouched.
    """
    chosen = runtime(weight_format(weights).runtime)
    clear_parts(out.parent)
    with part_folder(out) as workbench:
        part = workbench / out.name
        part.mkdir()
        # GGUF is one file; what ONNX needs beside its model is written into the folder by its runtime.
        chosen.export(model, weights, part / "model.gguf" if chosen.suffix == ".gguf" else part, prepared)
        if not (part / TOKENIZER).exists():
            shutil.copyfile(model / TOKENIZER, part / TOKENIZER)
        about = About(
            runtime=chosen.name,
            weights=weight_format(weights).name,
            how="" if prepared is None else prepared.how,
            kinds={} if prepared is None else prepared.kinds,
            origin=origin or Origin(),
        )
        hone = write_json(part / HONE_FILE, description(model, part, about))
        certificate = certify(part, device, witness, size)
        if certificate.status != "certified":
            raise FailedError(f"{out.name} does not match its original: " + "; ".join(certificate.failures))
        _complete(part, read_json(hone), device, witness)
        write_json(hone, description(model, part, about))
        certificate.write(part)
        write_card(part)
        if about.origin.tested:
            add_test(part, about.origin.tested)
        replace_folder(part, out)
    return certificate


def _complete(part: Path, hone: Mapping[str, Any], device: Device, witness: Witness) -> None:
    """Golden vectors, runners, and what other programs read."""
    bounds = weight_format(hone["weights"]).bounds
    limit = witness.max_new_tokens or MOST_NEW_TOKENS
    opened = FreshEncoder if isinstance(witness.renderer, EncoderRenderer) else FreshProcess
    with opened(part, threads=device.threads, context=min(device.context, hone["context"])) as session:
        golden = golden_of(
            session,
            witness.renderer,
            hone["examples"],
            original=witness.original if isinstance(witness.original, Original) else None,
            max_new_tokens=limit,
            tie_nats=bounds.tie_nats,
        )
    write_json(part / GOLDEN, golden)
    for name, text in runner_files(hone, read_json(part / TOKENIZER)).items():
        atomic_write(part / name, text)
    if has_modelfile(hone):
        atomic_write(part / MODELFILE, modelfile(hone, model_file(part).name))


def formats_to_try(model: Path, device: Device) -> list[WeightFormat]:
    """Weight formats for this model on this device, best first; empty when only a smaller model fits."""
    shapes = Tensors(model).shapes
    # What stands beside the weights is the same in every format of a runtime but for a few bytes.
    return formats_within(shapes, device.size_mb, overhead_bytes(model, shapes, weight_format("q8_0")))


def foreseen_bytes(model: Path, weights: WeightFormat) -> int:
    """The bytes of a model file in a format, to about one percent."""
    shapes = Tensors(model).shapes
    return stored_bytes(shapes, weights) + overhead_bytes(model, shapes, weights)
