"""What logging and hooks cost: hone's engine as ``hone train`` calls it, beside the same engine without them.

    python benchmarks/train/hooks.py --data FOLDER [--sizes 1m,5m] [--blocks 10] [--seconds 30] [--threads 1]

Watched: the standard guards on every step and every tenth step written into a run of a lab. Unwatched: no guard, no
record, nothing written. Both train the same model on the same full rows of ``english_novels`` by turns, see
``turns.py``; told are steps per CPU-second and the 95 % interval of the ratio. At most 2 % is what is promised.
"""

from __future__ import annotations

from pretraining import compare_sizes

CONTENDERS = ("hone-watched", "hone-unwatched")


def main() -> None:
    """Compare at each size."""
    compare_sizes(__doc__, CONTENDERS, "steps", "hooks", "1m,5m")


if __name__ == "__main__":
    main()
