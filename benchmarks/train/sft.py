"""Supervised tokens per CPU-second of fine-tuning: hone, TRL's defaults, TRL's other settings that are correct.

    python benchmarks/train/sft.py --data FOLDER [--tasks voice,banking77] [--blocks 10] [--seconds 30] [--threads 1]

FOLDER holds ``banking77/train.csv``; the voice task (Snips) ships with hone. Completions alone carry loss. 24 rows a
step, or as many tokens where rows are packed; a model of a million parameters; ``trl_trainer.py`` says what is equal.
For each contender the share of real tokens among the slots that go through its matrices is counted over a whole epoch.
Run ``isolation.py`` first: only settings whose documents are isolated may be compared with.
"""

from __future__ import annotations

from turns import arguments_of, cache_of, compare, options_of, table, wanted, write_result
from work import Work, prepare

CONTENDERS = ("hone", "hone-packed", "trl", "trl-grouped", "trl-padding-free", "trl-packed")


def real_over_slots(work: Work) -> dict[str, float]:
    """Real tokens over slots in an epoch, by hone's batches: as rows stand, and as they are computed."""
    from hone.model.faster import slots
    from hone.train.batches import collate

    found = {}
    for name, changes in (("hone", {}), ("hone-packed", {"packing": True, "batch_size": 3})):
        batches = [collate(rows) for rows in work.source(**changes).steps(0)]
        real = sum(int(batch.lengths.sum()) for batch in batches)
        found[f"{name}, rows as they stand"] = real / sum(batch.num_tokens for batch in batches)
        computed = sum(slots(batch.ids.shape, batch.position_ids, batch.lengths) for batch in batches)
        found[f"{name}, as computed"] = real / computed
    return found


def main() -> None:
    """Compare on each task."""
    parser = options_of(__doc__)
    parser.add_argument("--tasks", default="voice,banking77", help="tasks (default voice,banking77)")
    options = parser.parse_args()
    cache = cache_of(options)
    names = wanted(options, CONTENDERS)
    found = {}
    for task in options.tasks.split(","):
        name = f"sft:{task}"
        shares = real_over_slots(prepare(name, options.data, cache, options.threads))
        found[task] = compare(names, arguments_of(name, options, cache), options, "supervised")
        found[task]["real_over_slots"] = shares
        print(f"{task}:\n{table(found[task], 'supervised')}")
        print("\n".join(f"  real tokens over slots, {key}: {share:.3f}" for key, share in shares.items()))
    write_result("sft", {"threads": options.threads, "tasks": found})


if __name__ == "__main__":
    main()
