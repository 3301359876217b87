"""The same work for every contender: a recipe, its first weights, and the rows of each optimizer step.

``pretrain:SIZE`` is plain text of ``english_novels`` in full rows of 256 tokens; ``sft:voice`` and ``sft:banking77``
are prompts and completions, of which completions alone carry loss. Everything is deterministic, so processes agree.
"""

from __future__ import annotations

import gzip
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hone.task.recipe import Recipe
from hone.task.render import Example
from hone.train.batches import PackedRow
from hone.train.source import BatchSource
from turns import VOICE

ENDLESS = 1_000_000
"""Steps of a schedule that no benchmark reaches, so that nothing is saved or evaluated between steps."""
CONTEXT = 256
PRETRAINING_ROWS = 8
PRETRAINING_TOKENS = 400_000
NOVELS_OF_TOKENIZER = 12
VOCABULARY = {"1m": 1024, "5m": 2048, "15m": 4096}


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What is trained and on what."""

    recipe: Recipe
    vocab: int
    examples: tuple[Example, ...]

    def model(self) -> Any:
        """The model, with the same first weights every time."""
        from hone.model.presets import from_scratch, shape_of

        return from_scratch(shape_of(self.recipe, self.vocab), self.recipe.seed, init_std=0.02)

    def source(self, **changes: Any) -> BatchSource:
        """The batches, as the engine reads them."""
        return BatchSource.of_recipe(self.examples, self.recipe.child(**changes), data_id="benchmark")

    def steps(self) -> list[list[PackedRow]]:
        """The rows of each optimizer step of the first epoch, one example a row."""
        return self.source(packing=False).steps(0)


def recipe_of(threads: int, **values: Any) -> Recipe:
    """What all contenders can do: AdamW at a constant rate, plain rows, nothing between steps."""
    return Recipe().child(
        optimizer="adamw", learning_rate=1e-3, schedule="constant", warmup_steps=0, steps=ENDLESS, eval_every=ENDLESS,
        initial="random", context=CONTEXT, threads=threads, **values,
    )  # fmt: skip


def full_rows(rows_NT: np.ndarray) -> tuple[Example, ...]:
    """Rows without an end, all tokens but the first supervised."""
    supervised = np.arange(rows_NT.shape[1]) > 0
    return tuple(
        Example(ids=row, supervised=supervised, prompt_len=0, label=None, row=str(number))
        for number, row in enumerate(rows_NT)
    )


def prepare(name: str, data: Path, cache: Path, threads: int) -> Work:
    """The work of a name; what takes long is kept in ``cache``."""
    kind, _, which = name.partition(":")
    return (
        _pretraining(which, data, cache, threads) if kind == "pretrain" else _fine_tuning(which, data, cache, threads)
    )


def novels(data: Path) -> list[Path]:
    """The files of ``english_novels``, in order."""
    found = sorted((data / "english_novels").glob("*.txt.gz"))
    if not found:
        sys.exit(f"{data / 'english_novels'} holds no *.txt.gz")
    return found


def text_of(path: Path) -> str:
    """A novel."""
    with gzip.open(path, "rt", encoding="utf-8-sig", errors="replace") as lines:
        return lines.read()


def _pretraining(size: str, data: Path, cache: Path, threads: int) -> Work:
    path = cache / f"novels-{size}.npy"
    if not path.exists():
        from hone.data.tokenizer import train_tokenizer

        texts = [text_of(novel) for novel in novels(data)[:NOVELS_OF_TOKENIZER]]
        tokenizer = train_tokenizer(texts[:2], VOCABULARY[size])
        ids = np.concatenate([np.asarray(tokenizer.encode(text), np.int32) for text in texts])[:PRETRAINING_TOKENS]
        np.save(path, ids)
    ids = np.load(path)
    rows = ids[: len(ids) // CONTEXT * CONTEXT].reshape(-1, CONTEXT)
    recipe = recipe_of(threads, base=f"scratch:{size}", batch_size=PRETRAINING_ROWS, architecture="llama")
    return Work(recipe=recipe, vocab=VOCABULARY[size], examples=full_rows(rows))


def _fine_tuning(which: str, data: Path, cache: Path, threads: int) -> Work:
    path = cache / f"rows-{which}.npz"
    if not path.exists():
        vocab, examples = _rendered(which, data, cache)
        ids, supervised = (np.concatenate([getattr(e, field) for e in examples]) for field in ("ids", "supervised"))
        np.savez(path, vocab=vocab, ids=ids, supervised=supervised, ends=np.cumsum([len(e.ids) for e in examples])[:-1])
    with np.load(path) as kept:
        rows = zip(*(np.split(kept[field], kept["ends"]) for field in ("ids", "supervised")), strict=True)
        vocab = int(kept["vocab"])
    examples = tuple(
        Example(ids=ids, supervised=supervised, prompt_len=int(supervised.argmax()), label=None, row=str(number))
        for number, (ids, supervised) in enumerate(rows)
    )
    recipe = recipe_of(threads, base="scratch:1m", vocab_size=1632, batch_size=24)
    return Work(recipe=recipe, vocab=vocab, examples=examples)


def _rendered(which: str, data: Path, cache: Path) -> tuple[int, tuple[Example, ...]]:
    """Size of the tokenizer, and the training rows as hone renders them."""
    from hone.attempts import prepare_bench
    from hone.data.prepare import prepare as prepare_data
    from hone.task.load import load_task

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    folder = VOICE if which == "voice" else _banking77(data, cache)
    task = load_task(folder)
    version = prepare_data(task, folder, cache, say)
    recipe = recipe_of(1, base="scratch:1m", vocab_size=1632, batch_size=24, data=version.id)
    bench = prepare_bench(task, version, recipe, cache, say)
    return bench.tokenizer.vocab_size, tuple(bench.train)


def _banking77(data: Path, cache: Path) -> Path:
    """Banking questions and their intents as text: a task of prompts and completions."""
    folder = cache / "banking77"
    folder.mkdir(parents=True, exist_ok=True)
    train = (data / "banking77" / "train.csv").resolve()
    (folder / "hone.yaml").write_text(
        f"task: banking77\nkind: generate\ndata: {{train: {train}, dev: 500}}\n"
        'input: "{text}"\noutput: "{category}"\nmetric: exact_match\ntarget: 0.9\n',
        encoding="utf-8",
    )
    return folder
