"""Export and certify as one act: the artifact takes its name only when its own runtime matched the original."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hone.deploy.certificate.certify import Certificate, Witness, certificate_path, certify
from hone.deploy.runtime import runtime
from hone.deploy.tensors import Tensors
from hone.deploy.weights import WeightFormat, formats_within
from hone.errors import FailedError
from hone.files import PART_PREFIX
from hone.task.spec import Device


def export_certified(
    model: Path, out: Path, weights: str, device: Device, witness: Witness, *, runtime_name: str = "gguf"
) -> Certificate:
    """Export a model folder to ``out``, certify it, write the certificate beside it.

    Over the device's budget is no failure here: the certificate says so and the caller decides.

    Raises:
        InputError: when this model cannot be stored in this format.
        FailedError: when the artifact does not match its original. Nothing is left then (law 8), and the error
            holds the figures; an older artifact of that name is untouched.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{PART_PREFIX}{out.name}-", dir=out.parent) as workbench:
        made = runtime(runtime_name).export(model, weights, Path(workbench) / out.name)
        certificate = certify(made, device, witness)
        if certificate.status != "certified":
            raise FailedError(f"{out.name} does not match its original: " + "; ".join(certificate.failures))
        written = certificate.write(made)
        # The artifact first: a certificate that meets another file is refused by its hash.
        made.replace(out)
        written.replace(certificate_path(out))
    return certificate


def formats_to_try(model: Path, device: Device) -> list[WeightFormat]:
    """Weight formats for this model on this device, best first; empty when only a smaller model fits."""
    return formats_within(Tensors(model).shapes, device.size_mb, _overhead_bytes(model))


def _overhead_bytes(model: Path) -> int:
    """About what metadata and tokenizer take in the artifact: the words, merges and examples as stored."""
    size = sum((model / name).stat().st_size for name in ("tokenizer.json", "hone.json") if (model / name).is_file())
    return int(size * 0.8) + 4096
