"""Planned against measured: a fit on 4 artifacts, judged on 12 others of three sizes, two formats and both runtimes.

    python benchmarks/deploy/planned.py [--sizes 1m,5m,15m] [--rounds 3] [--threads 1]

The fit is what `hone plan` makes of a machine that it does not know: random artifacts of shapes that are none of the
judged ones. Judged are presets with random weights. All 16 are measured by turns in the same rounds, each in a fresh
process, because a machine's speed drifts from minute to minute; the median of the rounds counts.
Goals: size within 2 % every time; memory within 10 % and time per token within 15 % in 11 of 12.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from models import model_folder, table, write_figures

GOALS = {"size_mb": 0.02, "ram_mb": 0.10, "ms_per_token": 0.15}
"""Largest error of each figure; that of the first token is shown and has no goal."""
FORMATS = ("q8_0", "q4_0", "int8", "int4")
SHOWN = ("size_mb", "ram_mb", "ms_per_token", "first_token_ms")


def main() -> None:
    """Fit, predict, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1m,5m,15m")
    parser.add_argument("--rounds", type=int, default=3, help="fresh processes of each artifact (default 3)")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    from hone.deploy.planning import fits_of, made_probes
    from hone.deploy.probing import measured_in_turns
    from hone.task.spec import Device

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    device = Device(threads=arguments.threads)
    with tempfile.TemporaryDirectory() as name:
        probes = made_probes(Path(name), say)
        made = judged(arguments.sizes.split(","), Path(name))
        found = measured_in_turns([*made, *probes], device, arguments.rounds, say)
    fits = fits_of(probes, found, arguments.threads)
    rows = [row(probe, found[probe.name], fits, device) for probe, _ in made]
    outcome = {figure: _kept(rows, figure) for figure in GOALS}
    _print(rows, outcome)
    fitted = {name: one.to_json() for name, one in fits.items()}
    on = {probe.name: [dict(one.whole.measured) for one in found[probe.name]] for probe, _ in probes}
    write_figures("planned", {"goals": GOALS, "kept": outcome, "rows": rows, "fitted_on": on, "fits": fitted})


def judged(sizes: list[str], folder: Path) -> list[tuple[Any, Path]]:
    """The presets in every format, exported."""
    from hone.deploy.planning import storage_of
    from hone.deploy.probing import Probe, export_probe
    from hone.deploy.weights import FORMATS as KNOWN
    from hone.model.presets import preset

    made = []
    for size in sizes:
        model, shape = model_folder(size, folder), replace(preset(size), arch="qwen3")
        for name in FORMATS:
            probe = Probe(name=f"{size} {name}", shape=shape, storage=storage_of(KNOWN[name]))
            made.append((probe, export_probe(probe, model, folder / f"{size}-{name}")))
    return made


def row(probe: Any, rounds: list[Any], fits: dict[str, Any], device: Any) -> dict[str, Any]:
    """Predicted and measured figures of one artifact."""
    from hone.deploy.probing import device_of, median_of
    from hone.model.footprint import blueprint
    from hone.model.machine_fit import features

    known = features(blueprint(probe.shape), probe.storage, device_of(probe.shape, device))
    predicted = fits[probe.storage.runtime].predict(known)
    measured = median_of(rounds).whole.measured
    return {
        "artifact": probe.name,
        "runtime": probe.storage.runtime,
        "predicted": {figure: predicted[figure].value for figure in SHOWN},
        "measured": {figure: measured[figure] for figure in SHOWN},
        "off": {figure: predicted[figure].value / measured[figure] - 1.0 for figure in SHOWN},
        "rounds": [{**one.whole.measured, "median_ms": one.median_ms, "disturbed": one.disturbed} for one in rounds],
    }


def _kept(rows: list[dict[str, Any]], figure: str) -> dict[str, Any]:
    within = sum(abs(row["off"][figure]) <= GOALS[figure] for row in rows)
    least = len(rows) if figure == "size_mb" else len(rows) - len(rows) // 12
    worst = max((row["off"][figure] for row in rows), key=abs)
    return {"within": within, "of": len(rows), "worst": worst, "holds": within >= least}


def _print(rows: list[dict[str, Any]], outcome: dict[str, dict[str, Any]]) -> None:
    head = ["artifact", *(f"{figure} planned / measured" for figure in SHOWN)]
    lines = [
        [
            row["artifact"],
            *(f"{row['predicted'][one]:.3g} / {row['measured'][one]:.3g} ({row['off'][one]:+.1%})" for one in SHOWN),
        ]
        for row in rows
    ]
    table(head, lines)
    for figure, one in outcome.items():
        goal = f"within {GOALS[figure]:.0%} in {one['within']} of {one['of']}, worst {one['worst']:+.1%}"
        print(f"{figure}: {goal}: {'holds' if one['holds'] else 'missed'}")


if __name__ == "__main__":
    main()
