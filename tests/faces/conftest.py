"""A small cut of the voice example, as a task folder of its own."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

VOICE = Path(__file__).resolve().parents[2] / "src" / "hone" / "examples" / "voice"


@pytest.fixture(scope="session")
def voice(tmp_path_factory):
    """300 training rows and 40 test rows of the example, its task otherwise as it is."""
    folder = tmp_path_factory.mktemp("faces") / "voice"
    folder.mkdir()
    for split, count in (("train", 300), ("test", 40)):
        lines = gzip.decompress((VOICE / f"{split}.jsonl.gz").read_bytes()).decode().splitlines()
        (folder / f"{split}.jsonl").write_text("\n".join(lines[:: len(lines) // count][:count]) + "\n")
    text = (VOICE / "hone.yaml").read_text().replace(".jsonl.gz", ".jsonl").replace("dev: 700", "dev: 40")
    (folder / "hone.yaml").write_text(text)
    return folder
