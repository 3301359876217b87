"""What every recipe on a task needs: tokenizer, renderer, examples, and the batches made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.attempts.encoding import (
    OWN_MARKS,
    build_encoder,
    masked_dev,
    masked_each_epoch,
    outputs_of,
    reads_both_ways,
    say_unwritable,
)
from hone.attempts.replay import replay_documents, replay_line, replayed
from hone.data.augment import SwapValues
from hone.data.prepare import DataVersion
from hone.data.rows import Row
from hone.data.tokenizer import ENCODER_SPECIALS, TextTokenizer, train_tokenizer
from hone.data.tokens import Examples
from hone.data.tokens import examples as examples_of
from hone.errors import InputError
from hone.files import content_hash, read_json, write_json
from hone.task.conversation import MARKS
from hone.task.encoding import EncoderRenderer
from hone.task.layouts import frames_of
from hone.task.recipe import Recipe
from hone.task.render import ANSWER, SPECIALS, Example, Renderer, task_marks, task_prompt, task_reference, task_texts
from hone.task.spec import Task

if TYPE_CHECKING:
    from torch import nn

    from hone.model.base import Base
    from hone.train.source import BatchSource

Say = Callable[[str], None]
TOKENIZER_VERSION = "2"
SWAPPED_VALUES = 0.5
"""Share of the values of a changed row that are swapped: the others keep their real neighbours."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A task with its data and tokenizer, as every recipe on them needs it."""

    task: Task
    data: DataVersion
    recipe: Recipe
    renderer: Renderer
    tokenizer: TextTokenizer
    train: Examples
    dev: Sequence[Example]
    train_rows: Sequence[Row]
    longest_answer: int
    """Ids of the longest training answer: what a generation may take, with a quarter more."""
    replay: Examples | None = None
    """Documents that are mixed into training (:mod:`hone.attempts.replay`)."""


def prepare_bench(task: Task, data: DataVersion, recipe: Recipe, cache: Path, say: Say) -> Bench:
    """Tokenizer, renderer and token cache of a recipe; made once per content and found again by key.

    With a base, its own tokenizer is used; from scratch one is trained on the training rows. ``cache`` is the task
    folder's ``.hone/cache``.
    """
    rows = _share(data.train, recipe)
    tokenizer = _tokenizer(task, data, recipe, cache, say)
    renderer = _renderer(task, data, recipe, tokenizer, cache)
    rules: dict[str, Any] = {"context": recipe.context, "overlong": task.overlong_rule, "say": say}
    # The books of the data go on from its own; with a share of the rows they would not be those of the data.
    books = data.ledger if recipe.train_share >= 1 else None
    train = examples_of(rows, renderer, cache, **rules, ledger=books)
    dev = examples_of(data.dev, renderer, cache, **rules, split="dev", ledger=train.ledger if books else None)
    if books and (train.left_out or dev.left_out):
        path = dev.ledger.save(cache / f"ledger-{data.id}-{train.key}.jsonl")
        say(f"{len(train.left_out) + len(dev.left_out):,} rows more are left out, see {path}")
    if not train:
        raise InputError(f"no training row is left of {len(rows):,}: all are longer than {recipe.context:,} tokens")
    longest = max(example.longest_stretch for example in train)
    renderer.longest_answer = longest + longest // 4
    if isinstance(renderer, EncoderRenderer) and task.kind == "tag":
        say_unwritable(renderer, rows, "train", say)
        say_unwritable(renderer, data.dev, "dev", say)
    replay = replay_documents(recipe, tokenizer, cache.parent.parent, cache, say)
    if replay is not None:
        say(replay_line(len(train), replay, recipe))
    return Bench(
        task=task,
        data=data,
        recipe=recipe,
        renderer=renderer,
        tokenizer=tokenizer,
        train=train,
        dev=masked_dev(renderer, dev) if recipe.objective == "masked-tokens" else dev,
        train_rows=rows,
        longest_answer=renderer.longest_answer,
        replay=replay,
    )


def build_model(recipe: Recipe, tokenizer: TextTokenizer, labels: Sequence[str] = ()) -> nn.Module:
    """The module that a recipe starts from: a preset from scratch, or an opened base."""
    if reads_both_ways(recipe):
        return build_encoder(recipe, tokenizer, labels)
    if recipe.base.startswith("scratch"):
        from hone.model.induction import place_induction_heads
        from hone.model.presets import from_scratch, shape_of

        shape = shape_of(recipe, tokenizer.vocab_size)
        model = from_scratch(shape, recipe.seed, init_std=recipe.init_std, dropout=recipe.dropout or 0.0)
        if recipe.initial == "induction":
            place_induction_heads(model, seed=recipe.seed, std=recipe.init_std)
        return model
    return base_of(recipe, labels, [mark for mark in MARKS.values() if mark in tokenizer.specials]).module


def source_of(bench: Bench, *, base_id: str | None = None) -> BatchSource:
    """The batches of a recipe, with its augmentation and its replayed documents.

    Its identity says of what data they are, and what made ids of them: a run goes on with the same ones only.
    ``base_id`` is the content of the base that they are to train, where a state of it will be kept.
    """
    from hone.train.source import BatchSource, identity

    recipe = bench.recipe
    replay = "" if bench.replay is None else f"+{bench.replay.key}"
    data_id = identity(
        f"{bench.data.id}{replay}", base=base_id, tokenizer=bench.tokenizer.hash, token_ids=bench.train.key
    )
    if recipe.objective == "masked-tokens":
        masked = masked_each_epoch(bench.renderer, bench.train, recipe.mask_share)
        return BatchSource.of_recipe(masked, recipe, data_id=data_id)
    if bench.replay is None and not recipe.swap_values:
        return BatchSource.of_recipe(bench.train, recipe, data_id=data_id)
    rows_of = _swapped(bench) if recipe.swap_values else lambda seed, epoch: list(bench.train)
    if bench.replay is None:
        return BatchSource.of_recipe(rows_of, recipe, data_id=data_id)
    documents = bench.replay

    def examples(seed: int, epoch: int) -> list[Example]:
        return [*rows_of(seed, epoch), *replayed(len(bench.train), documents, recipe, epoch)]

    return BatchSource.of_recipe(examples, recipe, data_id=data_id)


def _swapped(bench: Bench) -> Callable[[int, int], list[Example]]:
    """The training rows of an epoch, with the values of some swapped."""
    recipe = bench.recipe
    swap = SwapValues(bench.task, bench.train_rows, recipe.swap_values, recipe.random_words, value_rate=SWAPPED_VALUES)
    rows = {row.id: row for row in bench.train_rows}

    def examples(seed: int, epoch: int) -> list[Example]:
        # A swapped row may be longer than the context; then the row itself is used, as it was checked.
        made = []
        for plain in bench.train:
            row = rows[plain.row]
            changed = swap.apply(row, seed, epoch)
            example = plain if changed is row else bench.renderer.example(row.id, changed.fields)
            made.append(example if len(example.ids) <= recipe.context else plain)
        return made

    return examples


def _share(rows: Sequence[Row], recipe: Recipe) -> Sequence[Row]:
    if recipe.train_share >= 1:
        return rows
    # Chosen by the hash of the row's id: a smaller share is a part of every larger one.
    ranked = sorted(rows, key=lambda row: content_hash([recipe.seed, row.id]))
    return ranked[: max(1, round(len(rows) * recipe.train_share))]


def _renderer(task: Task, data: DataVersion, recipe: Recipe, tokenizer: TextTokenizer, cache: Path) -> Renderer:
    if reads_both_ways(recipe):
        roles = OWN_MARKS if recipe.base.startswith("scratch") else base_of(recipe, data.labels).roles
        return EncoderRenderer.for_task(task, tokenizer, roles, data.labels, recipe.subtokens)
    frames = _frames(task, data, recipe, tokenizer, cache)
    return Renderer.of_task(task, tokenizer, layout=recipe.layout, labels=data.labels, frames=frames)


def _tokenizer(task: Task, data: DataVersion, recipe: Recipe, cache: Path, say: Say) -> TextTokenizer:
    if not recipe.base.startswith("scratch"):
        base = base_of(recipe, data.labels, task_marks(task))
        if task.conversation is not None:
            say(_marks_line(base))
        tokenizer = base.tokenizer
        assert isinstance(tokenizer, TextTokenizer)  # open_base wraps with it
        return tokenizer
    encoder = ["encoder"] if reads_both_ways(recipe) else []
    key = content_hash([TOKENIZER_VERSION, data.id, task.to_json(), recipe.vocab_size, recipe.layout, *encoder])
    folder = cache / f"tokenizer-{key}"
    if (folder / "tokenizer_config.json").is_file():  # written last
        return TextTokenizer.open(folder)
    if encoder:
        texts = [task_prompt(task, row.fields) for row in data.train]
        tokenizer = train_tokenizer(texts, recipe.vocab_size, specials=ENCODER_SPECIALS)
    else:
        wanted = _wanted_frames(task, data, recipe)
        texts, specials = _texts(task, data.train, recipe), (*SPECIALS, *task_marks(task))
        tokenizer = train_tokenizer(texts, recipe.vocab_size, data.labels, wanted, specials=specials)
    tokenizer.save(folder)
    say(f"tokenizer: {tokenizer.vocab_size:,} tokens trained on {len(data.train):,} rows (key {key})")
    return tokenizer


def _wanted_frames(task: Task, data: DataVersion, recipe: Recipe) -> list[str]:
    if task.kind != "extract" or recipe.layout != "framed-json":
        return []
    return frames_of(task_reference(task, row.fields) for row in data.train)


def _frames(task: Task, data: DataVersion, recipe: Recipe, tokenizer: TextTokenizer, cache: Path) -> dict[str, int]:
    """Frames that the tokenizer has a token for; a base's tokenizer has none. Kept, as counting reads every answer."""
    if task.kind != "extract" or recipe.layout != "framed-json":
        return {}
    path = cache / f"frames-{content_hash([TOKENIZER_VERSION, data.id, task.to_json(), tokenizer.hash])}.json"
    if path.is_file():
        kept: dict[str, int] = read_json(path)
        return kept
    found = {text: tokenizer.entry_id(text) for text in _wanted_frames(task, data, recipe)}
    frames = {text: one for text, one in found.items() if one is not None}
    write_json(path, frames)
    return frames


def _marks_line(base: Base) -> str:
    """How a base's own way of writing conversations is handled."""
    own = [name for name in ("chat_template.jinja", "chat_template.json") if (base.folder / name).is_file()]
    config = base.folder / "tokenizer_config.json"
    if own or (config.is_file() and read_json(config).get("chat_template")):
        return (
            f"conversations: the base {base.reference} has a chat template, which is a program and is not run; turns "
            "are written with hone's own marks, in training and in answering, and the base has to learn them"
        )
    return f"conversations: turns are written with the marks {', '.join(MARKS.values())} and {ANSWER}"


def base_of(recipe: Recipe, labels: Sequence[str], marks: Sequence[str] = ()) -> Base:
    """The base of a recipe, opened for its objective; ``labels`` are classes, or types of entities.

    ``marks`` are special tokens that it gets beside hone's own: those of a conversation's roles.
    """
    from hone.model.base import open_base

    return open_base(
        recipe.base,
        TextTokenizer,
        outputs_of(recipe, labels) if reads_both_ways(recipe) else labels,
        add_tokens=recipe.add_tokens,
        marks=marks,
        head=recipe.objective,
        seed=recipe.seed,
        dropout=recipe.dropout,
    )


def _texts(task: Task, rows: Sequence[Row], recipe: Recipe) -> list[str]:
    return [text for row in rows for text in task_texts(task, recipe.layout, row.fields)]
