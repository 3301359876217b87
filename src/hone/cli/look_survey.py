"""What ``hone look`` looks at: a task folder or bare files, surveyed with progress shown."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from hone.cli import wishing
from hone.cli.look import out_folder
from hone.cli.look_sensitive import earlier_texts
from hone.cli.places import TASK_FILE, check_there, is_task_folder, task_folder
from hone.data.looking.figures import LookOptions
from hone.data.signals import language
from hone.data.survey import Survey
from hone.errors import InputError
from hone.wording import counted

CLEAN = "clean"
"""The folder that a proposed command writes cleaned files to."""
CACHE = Path(".hone") / "cache"


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """A survey, where its report goes and under which name."""

    survey: Survey
    options: LookOptions
    out: Path
    stem: str


def survey(args: argparse.Namespace, *, looking: bool, place: Path | None = None) -> Looked:
    """Survey what a command line names; ``place`` takes texts and measurements instead of the cache beside the report.

    Raises:
        InputError: with every problem.
    """
    check_there(args.sources)
    # A third of a second of unpacking, while files are found and read.
    Thread(target=language.load, daemon=True).start()
    folders = [word for word in args.sources if is_task_folder(Path(word).expanduser())]
    if folders or args.sources == ["."]:
        if len(args.sources) > 1:
            raise InputError(f"one task folder, please, or files alone; got {', '.join(args.sources)}")
        wishing.refuse_for_a_task(args, task_folder(args.sources[0]), "sample")
        return _of_task(args, task_folder(args.sources[0]), looking, place)
    return _of_files(args, looking, place)


def _of_task(args: argparse.Namespace, folder: Path, looking: bool, place: Path | None) -> Looked:
    import yaml

    from hone.cli.stages import Stages
    from hone.data.looking.task_survey import survey_task
    from hone.data.making import chosen_section
    from hone.data.task_file import load_task

    cache = _cache(args, folder, place)
    task = load_task(folder)
    rules = _also(args, task.clean.rules)
    # A section that takes an earlier version's cleaning has no rules of its own to add to.
    if rules != task.clean.rules and task.clean.version is None:
        task = task.model_copy(update={"clean": task.clean.model_copy(update={"rules": rules})})
    with Stages(quiet=args.quiet) as stages:
        found = survey_task(
            task,
            folder,
            cache,
            sayer(args),
            workers=args.workers,
            looking=looking,
            sensitive=args.sensitive,
            on_progress=stages.tell,
        )
    options = LookOptions(
        title=task.name,
        sensitive=args.sensitive,
        seed=args.seed,
        preset=task.clean.preset,
        test=task.data.test or "",
        command=("hone", "look", str(folder), *_sensitive(args)),
        folder=str(folder),
        section=chosen_section(task, folder)[0],
        is_pinned=task.clean.version is not None,
        metric=task.metric,
        written=frozenset(yaml.safe_load((folder / TASK_FILE).read_text(encoding="utf-8"))),
    )
    for note in found.plan.notes:
        sayer(args)(note)
    return Looked(survey=found, options=options, out=out_folder(args, folder), stem="report")


def _of_files(args: argparse.Namespace, looking: bool, place: Path | None) -> Looked:
    from hone.cli.stages import Stages
    from hone.data.survey import Wishes, survey_files

    if args.sample is not None and args.sample < 1:
        raise InputError(f"--sample {args.sample}: expected 1 or more rows")
    out = out_folder(args, Path())
    cache = _cache(args, out, place)
    wishes = Wishes(
        text=args.text,
        answer=args.answer,
        label=args.label,
        test=args.test,
        sample=args.sample,
        bad_rows=args.bad_rows,
        sensitive=args.sensitive,
        workers=args.workers,
        seed=args.seed,
    )
    section = wishing.section(args)
    section = section.model_copy(update={"rules": _also(args, section.rules)})
    with Stages(quiet=args.quiet) as stages:
        found = survey_files(
            args.sources,
            Path(),
            section,
            cache,
            sayer(args),
            wishes=wishes,
            looking=looking,
            on_progress=stages.tell,
        )
    names = [Path(name).name for name in args.sources]
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    options = LookOptions(
        title=", ".join(names[:2]) + more,
        sensitive=args.sensitive,
        unsaid=found.view.unsaid,
        seed=args.seed,
        preset=args.preset,
        files=tuple(args.sources),
        test=args.test,
        command=tuple(_command(args)),
        cleaning=tuple(_cleaning(args)),
        section=section,
    )
    say = sayer(args)
    for name, count in found.changed.items():
        say(f"transform {name}: {counted(count, 'row')} changed")
    if found.bad:
        left_out = counted(len(found.bad), "row that cannot be used is", "rows that cannot be used are")
        say(f"{left_out} left out; {shlex.join([*options.command, '--dropped', 'bad-rows'])} lists them")
    return Looked(survey=found, options=options, out=out, stem=_stem(names))


def _also(args: argparse.Namespace, rules: Mapping[str, Any]) -> dict[str, Any]:
    """The rules wished for, and the optional one whose rows are asked for: what it would remove can be seen first."""
    from hone.data.presets import OPTIONAL

    if args.dropped not in OPTIONAL or args.dropped in rules:
        return dict(rules)
    return {**rules, args.dropped: True}


def _command(args: argparse.Namespace) -> list[str]:
    """The options of this look that another one of the same rows needs."""
    # Which rows a sample takes depends on the seed.
    given = {"--sample": str(args.sample or ""), "--seed": str(args.seed or "") if args.sample else ""}
    words = _words({"--out": args.out or "", **given})
    return ["hone", "look", *args.sources, *_named(args), *words, *_sensitive(args)]


def _cleaning(args: argparse.Namespace) -> list[str]:
    """The command that cleans the rows of this look, all of them where it is a sample."""
    return ["hone", "clean", *args.sources, "--out", CLEAN, *_named(args)]


def _named(args: argparse.Namespace) -> list[str]:
    """What a look and cleaning say alike."""
    given = {"--preset": args.preset if args.preset != "task" else "", "--test": args.test, "--text": args.text}
    given |= {"--answer": args.answer, "--label": args.label}
    given |= {"--bad-rows": args.bad_rows if args.bad_rows != "error" else ""}
    against = [word for file in args.against for word in ("--against", file)]
    return [*_words(given), *against, *wishing.words(args)]


def _words(given: Mapping[str, str]) -> list[str]:
    return [word for option, value in given.items() if value for word in (option, value)]


def _sensitive(args: argparse.Namespace) -> list[str]:
    """Another look at rows whose texts may not be shown may not show them either."""
    return ["--sensitive"] if args.sensitive else []


def _cache(args: argparse.Namespace, base: Path, place: Path | None) -> Path:
    """Where texts are laid out: as told, or in the cache under a folder."""
    if place is None:
        return base / CACHE
    for line in earlier_texts(base / CACHE):
        sayer(args)(line)
    return place


def _stem(names: list[str]) -> str:
    """A file name for the report, out of the first source's."""
    first = re.sub(r"(\.(gz|bz2|xz|zst))?$", "", names[0].rstrip("/")) or "data"
    stem = re.sub(r"[^\w.-]+", "-", re.sub(r"\.\w+$", "", first)).strip("-.") or "data"
    return stem if len(names) == 1 else f"{stem}-and-{len(names) - 1}-more"


def sayer(args: argparse.Namespace) -> Callable[[str], None]:
    """What takes the lines for people: beside the JSON where one is asked for, nothing where quiet is."""
    out = sys.stderr if args.json else sys.stdout

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=out)

    return say
