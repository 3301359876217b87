"""The matrix in the guide is what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def row(text: str, runtime: str, model: str) -> dict[str, str]:
    """The cells of a model in the table of a runtime, by weight format."""
    table = next(part for part in text.split("\n\n") if part.startswith(f"| {runtime} |"))
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return dict(zip(lines[0], next(line for line in lines if model in line[0]), strict=True))


def test_the_document_is_not_behind_the_code():
    command = [sys.executable, str(ROOT / "tools" / "deployment_matrix.py"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
    assert run.returncode == 0, run.stderr


def test_rows_that_do_not_divide_are_refused_and_never_stored_otherwise():
    """Width 128 takes Q8_0 and Q4_0 and no K-quant; stories260K (64/172) takes F32 and refuses Q8_0."""
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    voice = row(text, "gguf", "voice model")
    assert (voice["q8_0"], voice["q4_0"]) == ("yes", "yes")
    assert voice["q4_k_m"] == voice["q5_k_m"] == voice["q6_k"] == "no: 128 / 256"
    stories = row(text, "gguf", "stories260K")
    assert (stories["f32"], stories["q8_0"]) == ("yes", "no: 172 / 32")
    assert row(text, "onnx", "15m") == {
        "onnx": "`15m`: 512/1536",
        "fp32": "yes",
        "fp16": "yes",
        "int8": "yes",
        "int4-g16": "yes",
        "int4": "yes",
        "int4-g64": "yes",
        "int4-g128": "yes",
    }
