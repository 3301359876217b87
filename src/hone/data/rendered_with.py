"""A renderer for looking at rows before anything is trained, without torch and transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hone.data.prepare import DataVersion
from hone.data.rows import Row
from hone.data.tokenizer import ENCODER_SPECIALS, FILE, TextTokenizer, train_tokenizer
from hone.files import read_json
from hone.task.encoding import EncoderRenderer
from hone.task.layouts import frames_of
from hone.task.recipe import Recipe
from hone.task.render import SPECIALS, Renderer, label_token, task_marks, task_prompt, task_reference, task_texts
from hone.task.spec import LISTED, Task
from hone.wording import counted

Say = Callable[[str], None]
_CHARS_LEARNED = 4_000_000
_MERGES = 512


def renderer_to_look_with(task: Task, folder: Path, version: DataVersion, say: Say) -> Renderer:
    """The renderer of the latest run that has a model, else with the base's tokenizer, else with one trained here.

    Args:
        task: its templates, and its base.
        folder: the task folder, for its runs.
        version: the data; ``train`` and the labels are used.
        say: told which tokenizer it is.
    """
    return _of_run(task, folder, say) or _of_base(task, folder, version, say) or _trained(task, version, say)


def _of_run(task: Task, folder: Path, say: Say) -> Renderer | None:
    """The renderer of the latest run that has a model, where the task's templates are still the same."""
    from hone.lab.lab import Lab

    for run in reversed(Lab(folder, say=lambda line: None).runs()):
        if not (run.model / FILE).is_file() or not (run.model / "hone.json").is_file():
            continue
        renderer = Renderer.from_json(read_json(run.model / "hone.json")["renderer"], TextTokenizer.open(run.model))
        mine = (renderer.kind, renderer.input_template, renderer.output_template)
        if mine == (task.kind, *Renderer.templates_of(task)):
            say(f"tokens: the tokenizer of run {run.number} ({run.name}), {renderer.tokenizer.vocab_size:,} ids")
            return renderer
        say(f"tokens: run {run.number} was rendered with other templates, so its tokenizer is not used")
        return None
    return None


def _of_base(task: Task, folder: Path, version: DataVersion, say: Say) -> Renderer | None:
    if task.base.startswith("scratch"):
        return None
    path = _base_file(task.base, folder)
    if path is None:
        say(f"tokens: the tokenizer of the base {task.base} is not on this machine")
        return None
    from tokenizers import AddedToken, Tokenizer

    rust = Tokenizer.from_file(str(path))
    if marks := TextTokenizer(rust).encoder_marks:
        tokenizer = TextTokenizer(rust)
        say(f"tokens: the tokenizer of the base {task.base}, an encoder, {tokenizer.vocab_size:,} ids")
        return EncoderRenderer.for_task(task, tokenizer, marks, version.labels)
    names = [*SPECIALS, *task_marks(task), *map(label_token, version.labels)]
    rust.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    tokenizer = TextTokenizer(rust)
    say(f"tokens: the tokenizer of the base {task.base}, {tokenizer.vocab_size:,} ids")
    return Renderer.of_task(task, tokenizer, layout="json", labels=version.labels)


def _base_file(base: str, folder: Path) -> Path | None:
    """The base's ``tokenizer.json``: in a folder, or in the hub's cache; nothing is fetched."""
    for path in (folder / base / FILE, Path(base).expanduser() / FILE):
        if path.is_file():
            return path
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(base, FILE)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def _trained(task: Task, version: DataVersion, say: Say) -> Renderer:
    renderer, num_rows = renderer_trained_on(task, version.train, version.labels)
    for_encoder = "for an encoder " if isinstance(renderer, EncoderRenderer) else ""
    say(
        f"tokens: no run and no base has a tokenizer yet, so one of {renderer.tokenizer.vocab_size:,} ids was trained "
        f"{for_encoder}on {counted(num_rows, 'training row')}; a run trains its own"
    )
    return renderer


def renderer_trained_on(
    task: Task, rows: Sequence[Row], labels: Sequence[str], most_chars: int = _CHARS_LEARNED
) -> tuple[Renderer, int]:
    """A renderer whose tokenizer is trained here, as a run from scratch would, and the rows that it learned from.

    Args:
        task: its templates, and its base.
        rows: the first ones, about ``most_chars`` characters of them, are learned from.
        labels: of the classes.
        most_chars: see there.
    """
    recipe = Recipe()
    if task.kind in LISTED or task.base.startswith("scratch:bert-"):
        texts = [task_prompt(task, row.fields) for row in rows]
        tokenizer = train_tokenizer(texts, 256 + len(ENCODER_SPECIALS) + _MERGES, specials=ENCODER_SPECIALS)
        return EncoderRenderer.for_task(task, tokenizer, tokenizer.encoder_marks, labels), len(texts)
    framed = task.kind == "extract" and recipe.layout == "framed-json"
    frames = frames_of(task_reference(task, row.fields) for row in rows) if framed else []
    least = 256 + len(SPECIALS) + len(labels) + len(frames) + _MERGES
    texts, num_rows = _texts(task, rows, recipe, most_chars)
    specials = (*SPECIALS, *task_marks(task))
    tokenizer = train_tokenizer(texts, max(recipe.vocab_size, least), labels, frames, specials=specials)
    entries = {text: one for text in frames if (one := tokenizer.entry_id(text)) is not None}
    return Renderer.of_task(task, tokenizer, layout=recipe.layout, labels=labels, frames=entries), num_rows


def _texts(task: Task, rows: Sequence[Row], recipe: Recipe, most_chars: int) -> tuple[list[str], int]:
    """Prompts and answers of the first rows, about so many characters of them."""
    texts: list[str] = []
    chars = 0
    for number, row in enumerate(rows, 1):
        of_row = task_texts(task, recipe.layout, row.fields)
        texts += of_row
        chars += sum(map(len, of_row))
        if chars >= most_chars:
            return texts, number
    return texts, len(rows)
