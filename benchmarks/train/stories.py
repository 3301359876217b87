"""The loss of stories260K, opened from llama2.c's file, on the first 25 stories of TinyStories: 1.256 +- 0.005.

    .venv/bin/python benchmarks/train/stories.py --data FOLDER      # FOLDER holds tinystories_2mb

Each story is the begin and its text, up to 512 tokens; the mean is over all predicted tokens. The expected value
is that of an independent reading of the same file; its authors state 1.2968 on their validation set.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hone.data.tokenizer import TextTokenizer
from hone.model.base import open_base
from hone.model.neutral import mean_loss, next_token_logprobs

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests" / "model" / "data" / "stories260K" / "stories260K.bin"
EXPECTED, TOLERANCE = 1.256, 0.005
STORIES = 25


def main() -> int:
    """Print the loss; 1 when it is another."""
    parser = argparse.ArgumentParser(description="Loss of stories260K on the first 25 stories.")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    folder = parser.parse_args().data
    text = (folder / "tinystories_2mb" / "tinystories_sample.txt").read_text(encoding="utf-8")
    stories = [story.strip() for story in text.split("<|endoftext|>")][:STORIES]
    base = open_base(str(MODEL), TextTokenizer)
    begin = base.vocabulary.rust.token_to_id(base.roles["begin"])
    longest = int(base.config["max_position_embeddings"])
    rows = [[begin, *base.tokenizer.encode(story)][: longest + 1] for story in stories]
    loss, num_tokens = mean_loss(next_token_logprobs(base.module, rows, base.vocabulary.before))
    is_right = abs(loss - EXPECTED) <= TOLERANCE
    print(
        f"stories260K: {loss:.4f} nats per token over {num_tokens:,} tokens of {len(rows)} stories; "
        f"expected {EXPECTED} +- {TOLERANCE}: {'right' if is_right else 'WRONG'}"
    )
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
