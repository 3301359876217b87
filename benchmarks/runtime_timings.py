"""The artifact's times as hone measures them beside those that the runtime reports itself.

    python benchmarks/runtime_timings.py ARTIFACT [--rounds 5] [--threads 1] [--context 256] [--prompt-tokens 64]

Both are taken in a fresh process that imports no torch, on the same prompt and the same number of generated tokens, by
turns. hone's clock goes around the whole call, the runtime's own around its arithmetic: ours should be a little longer,
and never shorter. Without ARTIFACT the newest one of ./quickstart is taken.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import sys
from pathlib import Path
from typing import Any

from hone.deploy.artifact.folder import name_of
from hone.deploy.process import FreshProcess
from measure import VOICE, ratio_with_interval, write_result

FIGURES = ("first_token_ms", "ms_per_token")


def one_round(artifact: Path, prompt_tokens: int, context: int, threads: int) -> dict[str, dict[str, Any]]:
    """Both clocks in one fresh process: ours first, then, with ours closed, the runtime's."""
    new_tokens = min(128, context - prompt_tokens - 1)
    with FreshProcess(artifact, threads=threads, context=context) as process:
        prompt = _prompt(process, prompt_tokens)
        measured = process.measure(prompt, new_tokens=new_tokens, repeats=3)
        own = process.own_timings(prompt, context=context, new_tokens=new_tokens)
    return {"hone": {name: measured[name] for name in FIGURES}, "runtime": {name: own[name] for name in FIGURES}}


def _prompt(process: FreshProcess, length: int) -> list[int]:
    """Ids of real requests, as many as are asked for."""
    with gzip.open(VOICE / "test.jsonl.gz", "rt", encoding="utf-8") as handle:
        text = " ".join(json.loads(line)["text"] for line in itertools.islice(handle, 100))
    return process.tokenize(" " + text)[:length]


def newest_artifact() -> Path:
    """The newest artifact of the quickstart."""
    found = sorted(Path("quickstart/artifacts").glob("*/model.gguf"), key=lambda path: path.stat().st_mtime)
    if not found:
        sys.exit("no artifact in quickstart/artifacts: run make quickstart first, or name an artifact")
    return found[-1]


def main() -> None:
    """Measure in rounds and write both clocks' figures and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path, nargs="?", help="an artifact (default: the newest of ./quickstart)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--prompt-tokens", type=int, default=64)
    arguments = parser.parse_args()
    artifact = arguments.artifact or newest_artifact()
    rounds = []
    for _ in range(arguments.rounds):
        rounds.append(one_round(artifact, arguments.prompt_tokens, arguments.context, arguments.threads))
        print(rounds[-1], file=sys.stderr)
    ratios = {
        name: ratio_with_interval([r["hone"][name] for r in rounds], [r["runtime"][name] for r in rounds])
        for name in FIGURES
    }
    write_result("runtime_timings", {"artifact": name_of(artifact), "rounds": rounds, "hone_over_runtime": ratios})


if __name__ == "__main__":
    main()
