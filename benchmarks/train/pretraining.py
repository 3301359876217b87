"""Tokens per CPU-second of pretraining from scratch: hone, a bare loop, the Transformers Trainer, litgpt.

    python benchmarks/train/pretraining.py --data FOLDER [--sizes 1m,5m,15m] [--blocks 10] [--seconds 30] [--threads 1]

FOLDER holds ``english_novels/*.txt.gz``. Full rows of 256 tokens, 8 a step, Llama-shaped, 32 bits, fused AdamW, clipped
at a norm of 1; nothing is compiled, saved or evaluated. See ``turns.py`` for how is measured and ``bare_loop.py`` for
the yardstick. litgpt takes part where it is installed (``make bench-train`` gives it an environment of its own).
"""

from __future__ import annotations

from turns import arguments_of, cache_of, compare, options_of, table, wanted, write_result
from work import prepare

CONTENDERS = ("hone", "bare", "trainer", "litgpt")


def main() -> None:
    """Compare at each size."""
    parser = options_of(__doc__)
    parser.add_argument("--sizes", default="1m,5m,15m", help="presets (default 1m,5m,15m)")
    options = parser.parse_args()
    cache = cache_of(options)
    names = wanted(options, CONTENDERS)
    found = {}
    for size in options.sizes.split(","):
        work = f"pretrain:{size}"
        prepare(work, options.data, cache, options.threads)
        found[size] = compare(names, arguments_of(work, options, cache), options, "tokens")
        print(f"{size}:\n{table(found[size], 'tokens')}")
    write_result("pretraining", {"threads": options.threads, "sizes": found})


if __name__ == "__main__":
    main()
