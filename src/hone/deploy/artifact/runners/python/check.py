"""What run.py checks: that every file of this folder is the one it was made with, and the golden vectors."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def stop(sentence, status=3):
    """Say why, and end."""
    print(f"run.py: {sentence}", file=sys.stderr)
    sys.exit(status)


def unchanged():
    """What hone.json says, when every file beside it has the SHA-256 that is written there."""
    wrong, again = [], f"copy the whole folder {HERE.name} again"
    try:
        hone = json.loads((HERE / "hone.json").read_bytes())
        files = hone["files"].items()
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        stop(f"hone.json is not whole ({type(error).__name__}: {error}); {again}")
    for name, expected in files:
        try:
            with (HERE / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            wrong.append(f"{name} cannot be read ({error.strerror})")
            continue
        if found != expected:
            wrong.append(f"{name} has SHA-256 {found[:12]}, and it was made with {expected[:12]}")
    if wrong:
        stop(f"{'; '.join(wrong)}; {again}, or export it again")
    return hone


def missed(model):
    """Print what golden.json says otherwise; 1 when anything is missed, else 0."""
    golden = json.loads((HERE / "golden.json").read_bytes())
    wrong = [
        f"the text {one['text']!r} has other ids" for one in golden["texts"] if model.encode(one["text"]) != one["ids"]
    ]
    for item in golden["vectors"]:
        other = model.prompt_ids(item["given"]) != item["prompt_ids"]
        if problem := "the prompt has other ids" if other else differs(model, golden, item):
            wrong.append(f"row {item['row']}: {problem}")
    of = f"{len(golden['vectors'])} golden vectors and {len(golden['texts'])} texts"
    print(*wrong, f"{len(wrong)} of {of} missed", sep="\n")
    return int(bool(wrong))
