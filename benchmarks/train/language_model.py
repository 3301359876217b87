"""A language model from scratch: bits per byte on authors that it has not read, hone's recipe beside litgpt's.

    python benchmarks/train/language_model.py --data FOLDER [--tokens 3000000] [--seeds 0,1,2] [--size 5m]
        [--pairs 1000] [--folder KEPT]

FOLDER holds ``english_novels/*.txt.gz`` and ``blimp/BLiMP.zip``. Every eighth author is held out, with all of his
novels; a file's author is the first part of its name. One tokenizer and one size for both, as many tokens in rows of
256, one pass. hone: a recipe's own defaults, which ``hone solve`` takes for a language model too, norms on queries and
keys (Qwen3) included; litgpt's has none (Llama). litgpt: the recipe of ``litgpt pretrain``: its
initialisation, AdamW without fused kernels, rows of 8 a step, linear warmup over a tenth of the steps (its 2,000 are
more than there are) and a cosine to a tenth of the peak, clipping at 1; of three of its learning rates the best of the
first seed, chosen on the held-out authors, which favours litgpt. Then BLiMP. What is finished in ``--folder`` is not
computed again.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from blimp import accuracy, read_pairs
from turns import write_result
from work import full_rows, novels, text_of

CONTEXT = 256
ROWS = 8
HELD_OUT = 8
LEARNING_RATES = (4e-4, 1e-3, 3e-3)
"""litgpt's of its pretraining configurations (4e-4), PyTorch's default, which its own default is, and a larger one."""


def main() -> None:
    """Train and judge what is missing, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=3_000_000)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--size", default="5m")
    parser.add_argument("--pairs", type=int, default=1000, help="pairs of each paradigm of BLiMP (default 1000)")
    parser.add_argument("--held-out-bytes", type=int, default=1_000_000, help="of the held-out authors, evenly")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    place = options.folder or Path(tempfile.mkdtemp(prefix="hone-lm-"))
    place.mkdir(parents=True, exist_ok=True)
    texts = prepare(options, place)
    seeds = list(map(int, options.seeds.split(",")))
    rates = {f"litgpt {rate:g}": rate for rate in LEARNING_RATES}
    first = {name: run(name, rate, seeds[0], texts, options, place) for name, rate in {"hone": None, **rates}.items()}
    best = min(rates, key=lambda name: first[name]["bits_per_byte"])
    found = {name: [row] for name, row in first.items()}
    for seed in seeds[1:]:
        for name, rate in {"hone": None, best: rates[best]}.items():
            found[name].append(run(name, rate, seed, texts, options, place))
    means = {name: statistics.mean(row["bits_per_byte"] for row in rows) for name, rows in found.items()}
    for name, rows in found.items():
        print(f"{name}: {means[name]:.4f} bits per byte, mean of {len(rows)} seeds")
    write_result(
        "language-model", {"tokens": options.tokens, "size": options.size, "best": best, "runs": found, "means": means}
    )


def run(
    name: str, rate: float | None, seed: int, texts: dict[str, Any], options: argparse.Namespace, place: Path
) -> dict[str, Any]:
    """The figures of one training, litgpt's at a rate or hone's; those of a finished one are read."""
    path = place / f"{name.replace(' ', '-')}-{seed}.json"
    if not path.exists():
        begin = time.process_time()
        model = train_hone(texts, options, seed, place) if rate is None else train_litgpt(texts, options, seed, rate)
        cpu_s = time.process_time() - begin
        path.write_text(json.dumps({**judged(model, texts, options), "training_cpu_s": cpu_s}), encoding="utf-8")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    told = ("bits_per_byte", "blimp", "training_cpu_s")
    print(f"seed {seed} {name}: " + ", ".join(f"{key} {found[key]:.4f}" for key in told), flush=True)
    return found


def prepare(options: argparse.Namespace, place: Path) -> dict[str, Any]:
    """Tokenizer, training ids, held-out texts; kept in the folder."""
    from hone.data.tokenizer import TextTokenizer, train_tokenizer
    from hone.model.presets import preset

    files = novels(options.data)
    authors = sorted({path.name.split("_", 1)[0] for path in files})
    held_out = set(authors[::HELD_OUT])
    train = [path for path in files if path.name.split("_", 1)[0] not in held_out]
    test = [path for path in files if path.name.split("_", 1)[0] in held_out]
    if not (place / "tokenizer").exists():
        train_tokenizer([text_of(path)[:200_000] for path in train], preset(options.size).vocab).save(
            place / "tokenizer"
        )
    tokenizer = TextTokenizer.open(place / "tokenizer")
    per_novel = -(-options.tokens // len(train))
    if not (place / "ids.npy").exists():
        parts = [np.asarray(tokenizer.encode(text_of(path)[: per_novel * 6])[:per_novel], np.int32) for path in train]
        np.save(place / "ids.npy", np.concatenate(parts)[: options.tokens])
    ids = np.load(place / "ids.npy")
    each = options.held_out_bytes // len(test)
    passages = [text_of(path)[20_000 : 20_000 + each] for path in test]
    print(
        f"{len(ids):,} tokens of {len(train)} novels; held out: {len(test)} novels of {len(held_out)} authors",
        file=sys.stderr,
    )
    return {"tokenizer": tokenizer, "ids": ids, "passages": passages}


def rows_of(ids: Any) -> Any:
    """Rows of 256 tokens; what is left over at the end is left out."""
    return ids[: len(ids) // CONTEXT * CONTEXT].reshape(-1, CONTEXT)


def train_hone(texts: dict[str, Any], options: argparse.Namespace, seed: int, place: Path) -> Any:
    """Hone's default recipe of a language model, for one pass."""
    from hone.attempts import build_model
    from hone.task.recipe import Recipe
    from hone.train.engine import fit
    from hone.train.source import BatchSource

    examples, tokenizer = full_rows(rows_of(texts["ids"])), texts["tokenizer"]
    steps = -(-len(examples) // ROWS)
    recipe = Recipe().child(
        base=f"scratch:{options.size}",
        vocab_size=tokenizer.vocab_size,
        batch_size=ROWS,
        steps=steps,
        seed=seed,
        warmup_steps=max(1, min(100, steps // 20)),
        eval_every=steps,
    )
    model: Any = build_model(recipe, tokenizer)
    fit(model, BatchSource.of_recipe(examples, recipe, data_id="novels"), recipe, place / f"run-hone-{seed}")
    model.eval()
    return lambda ids: model(input_ids=ids, use_cache=False).logits


def train_litgpt(texts: dict[str, Any], options: argparse.Namespace, seed: int, rate: float) -> Any:
    """Litgpt's recipe on as many rows."""
    from types import SimpleNamespace

    from litgpt.pretrain import get_lr, initialize_weights
    from litgpt.utils import chunked_cross_entropy

    from hone.model.presets import preset
    from litgpt_loop import model_of

    torch.manual_seed(seed)
    shape = preset(options.size)
    model = model_of(shape)
    initialize_weights(SimpleNamespace(strategy=None), model, n_layer=shape.layers, n_embd=shape.hidden)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    rows = rows_of(texts["ids"])
    order = np.random.default_rng(seed).permutation(len(rows))
    steps = -(-len(rows) // ROWS)
    model.train()
    for step in range(steps):
        ids = torch.from_numpy(rows[order[step * ROWS : (step + 1) * ROWS]]).long()
        for group in optimizer.param_groups:
            group["lr"] = get_lr(rate, step, max(1, steps // 10), steps, rate / 10)
        loss = chunked_cross_entropy(model(ids)[:, :-1], ids[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 200 == 0:
            print(f"litgpt {rate:g} seed {seed}: step {step} of {steps}, loss {loss.item():.3f}", file=sys.stderr)
    model.eval()
    return model


def judged(logits_of: Any, texts: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Bits per byte on the held-out passages in windows of 256 tokens that half overlap, and BLiMP."""
    bits = sum(passage_bits(logits_of, texts["tokenizer"].encode(passage)) for passage in texts["passages"])
    size = sum(len(passage.encode("utf-8")) for passage in texts["passages"])
    pairs = read_pairs(options.data / "blimp" / "BLiMP.zip", options.pairs)
    by_paradigm = accuracy(logits_of, lambda text: [1, *texts["tokenizer"].encode(text)], pairs)
    return {"bits_per_byte": bits / size, "blimp": statistics.mean(by_paradigm.values()), "paradigms": by_paradigm}


def passage_bits(logits_of: Any, ids: list[int]) -> float:
    """Bits of a passage behind its first token; each token is read with at least 128 before it where there are."""
    total, done = 0.0, 1
    tokens = torch.tensor(ids)
    while done < len(ids):
        begin = max(0, done - CONTEXT // 2)
        window = tokens[begin : begin + CONTEXT].unsqueeze(0)
        with torch.no_grad():
            losses = torch.nn.functional.cross_entropy(logits_of(window)[0, :-1], window[0, 1:], reduction="none")
        total += float(losses[done - begin - 1 :].sum())
        done = begin + window.size(1)
    return total / math.log(2)


if __name__ == "__main__":
    main()
