"""Models that come without a task: a model folder, an adapter, or a ``.bin`` of llama2.c, made ready to be exported.

What has no renderer continues text with its own tokenizer's marks, and is compared with its original on plain prose
that belongs to nobody's task (:mod:`hone.model.neutral`). There is nothing that it could be scored by.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hone.data.tokenizer import TextTokenizer
from hone.errors import InputError
from hone.files import read_json, write_json
from hone.model.adapters import adapted, base_of, is_adapter, read_adapter
from hone.model.converting import convert
from hone.model.folder import HONE_FILE, read_tokenizer
from hone.model.neutral import neutral_texts
from hone.model.vocabulary import roles_of
from hone.model.weights import CONFIG, ENCODERS, check_layout
from hone.processes import spin_briefly
from hone.solving.bare_encoders import dressed_encoder
from hone.solving.exporting import Source
from hone.task.continuing import ContinuingRenderer
from hone.task.embedding import EMBED
from hone.task.soft_prompt import soft_prompt_of
from hone.task.spec import Device

MOST_CONTEXT = 256
Say = Callable[[str], None]


def is_bare_model(path: Path) -> bool:
    """Whether a path is a folder of a model or of an adapter, or a file that can be one of llama2.c."""
    return (path / CONFIG).is_file() or is_adapter(path) or (path.is_file() and path.suffix == ".bin")


def bare_source(path: Path, out: Path | None, workbench: Path, say: Say) -> Source:
    """A model to export.

    Args:
        path: a model folder, an adapter whose base is at hand, or a ``.bin`` of llama2.c with its tokenizer beside it.
        out: where artifacts are made; by default ``artifacts`` of the current folder.
        workbench: an empty folder for what has to be written on the way.
        say: takes lines for people.

    Raises:
        InputError: when it cannot be opened safely, or nothing says how its texts begin and end.
    """
    name = path.stem if path.is_file() else path.resolve().name
    folder = path
    if path.is_file():
        spin_briefly()
        import hone.warm  # noqa: F401  (no bars on the way)

        folder = workbench / "converted"
        for line in convert(path, folder):
            say(line.replace(str(folder), name))
    elif is_adapter(path):
        folder = _adapted(path, workbench, name, say)
    check_layout(folder)
    if not (folder / HONE_FILE).is_file() and read_json(folder / CONFIG).get("model_type") in ENCODERS:
        folder = dressed_encoder(folder, workbench / "dressed", name, say)
        say("not scored: there is no task; it is compared with its original on plain prose")
    elif not (folder / HONE_FILE).is_file():
        folder = _dressed(folder, workbench / "dressed", name)
        say("not scored: there is no task; it is compared with its original on plain prose, as text that it continues")
    else:
        vectors = read_json(folder / HONE_FILE).get("kind") == EMBED
        over = "plain prose" if vectors else "the rows that travel with it"
        say(f"not scored: there is no task here; it is compared with its original on {over}")
    soft = len(soft_prompt_of(read_json(folder / HONE_FILE).get("renderer")))
    context = min(MOST_CONTEXT + soft, int(read_json(folder / CONFIG)["max_position_embeddings"]))
    device = Device(context=context, prompt_tokens=min(64, context // 2))
    return Source(model=folder, stem=name, out=out or Path("artifacts"), order={"device": device})


def _adapted(path: Path, workbench: Path, name: str, say: Say) -> Path:
    """An adapter with its base as a plain model folder; what has no renderer continues text, as its base does."""
    adapter = read_adapter(path)
    reference, base = base_of(adapter)
    if not any((folder / HONE_FILE).is_file() for folder in (path, base)):
        dressed = workbench / "dressed"
        if read_json(base / CONFIG).get("model_type") in ENCODERS:
            base = dressed_encoder(base, dressed, name, say)
        else:
            base = _dressed(base, dressed, name, soft=int(adapter.config.get("num_virtual_tokens") or 0))
    spin_briefly()
    import hone.warm  # noqa: F401  (torch, with threads that sleep while they wait)

    for line in adapted(adapter, base, workbench / "adapted", TextTokenizer, reference):
        say(line)
    return workbench / "adapted"


def _dressed(folder: Path, dressed: Path, name: str, soft: int = 0) -> Path:
    """The model folder with a ``hone.json`` of its own beside links to its files: the folder itself is only read.

    Rows leave room for ``soft`` ids in front of them.

    Raises:
        InputError: for encoders, and for tokenizers that name no end.
    """
    config = read_json(folder / CONFIG)
    if config.get("model_type") in ENCODERS:
        raise InputError(
            f"{folder} is an encoder without {HONE_FILE}: nothing says what its outputs mean under an adapter; "
            "train it on a task first"
        )
    rust = read_tokenizer(folder)
    roles = roles_of(folder, rust, "next-token")
    if "end" not in roles:
        raise InputError(f"{folder}: its tokenizer_config.json names no eos_token, so nothing says where a text ends")
    renderer = ContinuingRenderer(tokenizer=TextTokenizer(rust), begin=roles.get("begin"), end=roles["end"])
    room = max(1, min(MOST_CONTEXT, int(config["max_position_embeddings"]) - soft) - 2)
    dressed.mkdir(parents=True)
    for file in folder.iterdir():
        if file.is_file():
            (dressed / file.name).symlink_to(file.resolve())
    stored = [renderer.stored_example(f"prose:{at}", {"text": text}) for at, text in enumerate(_pieces(renderer, room))]
    hone = {"format": 1, "kind": renderer.kind, "labels": [], "renderer": renderer.to_json(), "examples": stored}
    write_json(dressed / HONE_FILE, {**hone, "base": name, "hashes": {}})
    return dressed


def _pieces(renderer: ContinuingRenderer, room: int) -> list[str]:
    """The paragraphs of prose, each shortened to what the context holds."""
    found = []
    for text in neutral_texts():
        words = text.split(" ")
        while len(renderer.tokenizer.encode(" ".join(words))) > room:
            words = words[: len(words) * 3 // 4]
        found.append(" ".join(words))
    return found
