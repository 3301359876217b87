"""Tokens per CPU-second of pretraining from scratch: hone, a bare loop, the Transformers Trainer, litgpt.

    python benchmarks/train/pretraining.py --data FOLDER [--sizes 1m,5m,15m] [--blocks 10] [--seconds 30] [--threads 1]

FOLDER holds ``english_novels/*.txt.gz``. Full rows of 256 tokens, 8 a step, Llama-shaped, 32 bits, fused AdamW, clipped
at a norm of 1; nothing is compiled, saved or evaluated. See ``turns.py`` for how is measured and ``bare_loop.py`` for
the yardstick. litgpt takes part where it is installed (``make bench-train`` gives it an environment of its own).
"""

from __future__ import annotations

from collections.abc import Sequence

from turns import arguments_of, cache_of, compare, options_of, table, wanted, write_result
from work import prepare

CONTENDERS = ("hone", "bare", "trainer", "litgpt")


def compare_sizes(description: str | None, contenders: Sequence[str], what: str, result: str, sizes: str) -> None:
    """Compare contenders at each of ``sizes`` by ``what`` per CPU-second, print and write the table."""
    parser = options_of(description)
    parser.add_argument("--sizes", default=sizes, help=f"presets (default {sizes})")
    options = parser.parse_args()
    cache = cache_of(options)
    names = wanted(options, contenders)
    found = {}
    for size in options.sizes.split(","):
        work = f"pretrain:{size}"
        prepare(work, options.data, cache, options.threads)
        found[size] = compare(names, arguments_of(work, options, cache), options, what)
        print(f"{size}:\n{table(found[size], what)}")
    write_result(result, {"threads": options.threads, "sizes": found})


def main() -> None:
    """Compare at each size."""
    compare_sizes(__doc__, CONTENDERS, "tokens", "pretraining", "1m,5m,15m")


if __name__ == "__main__":
    main()
