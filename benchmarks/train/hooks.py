"""What logging and hooks cost: hone's engine as ``hone train`` calls it, beside the same engine without them.

    python benchmarks/train/hooks.py --data FOLDER [--sizes 1m,5m] [--blocks 10] [--seconds 30] [--threads 1]

Watched: the standard guards on every step and every tenth step written into a run of a lab. Unwatched: no guard, no
record, nothing written. Both train the same model on the same full rows of ``english_novels`` by turns, see
``turns.py``; told are steps per CPU-second and the 95 % interval of the ratio. At most 2 % is what is promised.
"""

from __future__ import annotations

from turns import arguments_of, cache_of, compare, options_of, table, write_result
from work import prepare

CONTENDERS = ("hone-watched", "hone-unwatched")


def main() -> None:
    """Compare at each size."""
    parser = options_of(__doc__)
    parser.add_argument("--sizes", default="1m,5m", help="presets (default 1m,5m)")
    options = parser.parse_args()
    cache = cache_of(options)
    found = {}
    for size in options.sizes.split(","):
        work = f"pretrain:{size}"
        prepare(work, options.data, cache, options.threads)
        found[size] = compare(CONTENDERS, arguments_of(work, options, cache), options, "steps")
        print(f"{size}:\n{table(found[size], 'steps')}")
    write_result("hooks", {"threads": options.threads, "sizes": found})


if __name__ == "__main__":
    main()
