"""``hone plan``: which model, in which format, can hold the device's budget, before anything is trained."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.cli.places import HELP_FOLDER, is_task_folder, task_folder
from hone.errors import InputError, nearest
from hone.wording import counted

if TYPE_CHECKING:
    from hone.model.footprint import Blueprint
    from hone.model.machine_fit import Estimate, MachineFit
    from hone.model.plan import AnyShape, Candidate, Plan, Planner
    from hone.task.spec import Device, Task

NO_BETTER = 0.995
"""An error of this share and more is told as one: in units it would say less."""
HEAD = (
    "",
    "width",
    "layers",
    "vocabulary",
    "context",
    "format",
    "size MB",
    "memory MB",
    "first ms",
    "ms/token",
    "GB/s",
    "",
)
SHOWN_PRESETS = 6
"""Presets that are listed: the largest that hold and, above them, the first that do not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """The model that is planned, and what is beside it."""

    name: str
    shape: AnyShape | None
    """None of a pretrained base, which stays as it is."""
    model: Blueprint
    presets: Mapping[str, AnyShape]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; ``--json`` and ``--quiet`` are declared for every verb."""
    parser.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help=HELP_FOLDER)
    parser.add_argument(
        "--class",
        dest="device_class",
        metavar="NAME",
        help="plan for a device with published figures, such as phone (a wrong name lists them), or for this-machine "
        "(default: device.class of hone.yaml)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="device.KEY=VALUE",
        help="another limit than hone.yaml's, such as device.size_mb=5; may be repeated",
    )
    parser.add_argument("--measure", action="store_true", help="measure this machine anew (less than a minute)")
    own = parser.add_argument_group("a model of your own, in place of the task's")
    own.add_argument("--preset", metavar="NAME", help="such as 5m or bert-5m")
    own.add_argument("--width", type=int, metavar="N", help="of the residual stream, a multiple of 64 to 16,384")
    own.add_argument("--layers", type=int, metavar="N", help="number of layers, to 256")
    own.add_argument("--vocab", type=int, metavar="N", help="entries of the vocabulary")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; 1 when of no format it is known that the planned model holds the budget in it."""
    task = _task(args)
    device = _device(args, task)
    asked = _asked(args, task, device)
    out = sys.stderr if args.json else sys.stdout

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=out)

    from hone.deploy.planning import storages
    from hone.model.plan import Planner

    fits = _fits(args, device, say)
    planner = Planner(device, storages(tuple(fits)), fits)
    plan = planner.plan(asked.name, asked.shape or asked.model, asked.presets)
    for line in _lines(plan, planner, asked):
        print(line, file=out)
    if args.json:
        document = {
            "device": device.model_dump(by_alias=True),
            "asked": asked.name,
            "plan": plan.to_json(),
            "fits": {name: one.to_json() for name, one in fits.items()},
        }
        print(json.dumps(document, ensure_ascii=False))
    return 0 if plan.chosen is not None else 1


def _task(args: argparse.Namespace) -> Task | None:
    """The folder's task; None where the command line alone says what is planned."""
    own = args.preset or args.width or args.layers
    if own and args.folder == "." and not is_task_folder(Path(args.folder)):
        return None
    folder = task_folder(args.folder)
    from hone.data.task_file import load_task

    return load_task(folder)


def _device(args: argparse.Namespace, task: Task | None) -> Device:
    """The budget of the task with what ``--set`` changes of it.

    Raises:
        InputError: for keys that a device has not, and values that are none, all at once.
    """
    from pydantic import ValidationError

    from hone.cli.train import read_changes
    from hone.model.plan import MOST_TOKENS
    from hone.model.published import unknown_class
    from hone.task.spec import DEVICE_CLASSES, Device

    changes, problems = read_changes(args.set)
    known = [name for name in Device.model_fields if name != "device_class"]
    values = {} if task is None else task.device.model_dump(by_alias=True)
    if args.device_class is not None:
        values["class"] = args.device_class.lower()
        if values["class"] not in DEVICE_CLASSES:
            problems.append(unknown_class(args.device_class))
    for key, value in changes.items():
        name = key.removeprefix("device.")
        if name == "class":
            problems.append(f"--set {key}: name the class with --class {value}")
        elif name not in known:
            problems.append(f"--set {key}: a device has no such key; {nearest(name, known)}")
        else:
            values[name] = value
    if problems:
        raise InputError(problems)
    try:
        device = Device.model_validate(values)
    except ValidationError as error:
        raise InputError(_sentence(one) for one in error.errors()) from None
    if device.context > MOST_TOKENS:
        raise InputError(f"device.context {device.context:,}: contexts are planned up to {MOST_TOKENS:,} tokens")
    return device


def _sentence(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if not where:  # of several keys together, which its sentence names
        return f"device: {error['msg'].removeprefix('Value error, ')}"
    return f"device.{where}: {error['msg'].removeprefix('Value error, ')}; got {error['input']!r}"


def _asked(args: argparse.Namespace, task: Task | None, device: Device) -> _Asked:
    """The shape that the task begins with, or the one that the command line describes."""
    from hone.model.encoders import ENCODER_PRESETS, encoder_preset
    from hone.model.presets import DEFAULT_PRESET, PRESETS, preset

    base, vocab = _base(task)
    own = args.preset or args.width or args.layers
    if not base.startswith("scratch") and not own:
        if args.vocab is not None:
            raise InputError(f"--vocab {args.vocab}: base {base} has a vocabulary of its own; name a --preset with it")
        return _asked_base(base, device)
    name = (
        (args.preset or "").lower() or (base.partition(":")[2] if base.startswith("scratch") else "") or DEFAULT_PRESET
    )
    encoder = name.startswith("bert-")
    start: AnyShape = encoder_preset(name) if encoder else preset(name)
    vocab = args.vocab or vocab or start.vocab
    presets: dict[str, AnyShape] = {}
    for each, shape in (ENCODER_PRESETS if encoder else PRESETS).items():
        presets[each] = _fitted(shape, vocab, device.context, None if encoder else "qwen3")
    shape = _fitted(start, vocab, device.context, None if encoder or args.preset else "qwen3")
    changed = _with_options(shape, args)
    from hone.model.footprint import blueprint

    label = name if changed == shape else f"{name}, width {changed.hidden}, {changed.layers} layers"
    return _Asked(name=label, shape=changed, model=blueprint(changed), presets=presets)


def _base(task: Task | None) -> tuple[str, int]:
    """What the first recipe starts from, and its vocabulary; without a task the default and no vocabulary."""
    if task is None:
        return "scratch", 0
    from hone.solving.defaults import default_recipe

    recipe = default_recipe(task, None, seed=0, threads=task.device.threads)
    return recipe.base, recipe.vocab_size


def _fitted(shape: AnyShape, vocab: int, context: int, arch: str | None) -> AnyShape:
    changes: dict[str, Any] = {"vocab": vocab, "context": context, **({"arch": arch} if arch else {})}
    return replace(shape, **changes)


def _with_options(shape: AnyShape, args: argparse.Namespace) -> AnyShape:
    from hone.model.plan import PLANNED, with_width

    problems = [
        f"--{name} {value:,}: expected a number from {least:,} to {most:,}"
        for name, (least, most) in PLANNED.items()
        if (value := getattr(args, name)) is not None and not least <= value <= most
    ]
    if args.width is not None and args.width % 64:
        problems.append(f"--width {args.width}: expected a multiple of 64, so that rows of every format divide")
    if problems:
        raise InputError(problems)
    changed = shape if args.width is None else with_width(shape, args.width)
    return changed if args.layers is None else replace(changed, layers=args.layers)


def _asked_base(base: str, device: Device) -> _Asked:
    """A pretrained base: what its files and its config say."""
    from hone.data.tokenizer import TextTokenizer
    from hone.model.base import is_encoder_base, open_base
    from hone.model.footprint import blueprint_of_base
    from hone.model.sizes import size_of

    encoder = is_encoder_base(base)
    opened = open_base(base, TextTokenizer, head="masked-tokens" if encoder else "next-token")
    model = blueprint_of_base(opened.config, size_of(opened), device.context, writes=not encoder)
    return _Asked(name=base, shape=None, model=model, presets={})


def _fits(args: argparse.Namespace, device: Device, say: Callable[[str], None]) -> dict[str, MachineFit]:
    """Fits of the class that is asked for: measured here, or published."""
    from hone.deploy.planning import fits_of_class, fits_of_this_machine
    from hone.task.spec import THIS_MACHINE

    if device.device_class == THIS_MACHINE:
        fits = fits_of_this_machine(device, say, anew=args.measure)
        for one in fits.values():
            say(f"fit of this machine, {one.runtime}, {counted(one.threads, 'thread')}: {one.source}, {one.date}")
        return fits
    if args.measure:
        raise InputError(
            f"--measure measures this machine, and {device.device_class} is planned from what others did; "
            f"plan for this one with --class {THIS_MACHINE}"
        )
    fits = fits_of_class(device.device_class)
    one = next(iter(fits.values()))
    sizes = " to ".join(dict.fromkeys(f"{mb:,.0f}" for mb in (one.smallest_mb, one.largest_mb)))
    say(
        f"class {one.name}: {one.source}, models of {sizes} MB; "
        "the error grows for a model that is much smaller, and is not known beyond 100%: ±100%+ says so"
    )
    return fits


def _lines(plan: Plan, planner: Planner, asked: _Asked) -> list[str]:
    """The plan for people."""
    from hone.cli.tables import aligned
    from hone.model.plan import UNITS, limits_of

    limits = limits_of(plan.device)
    said = ", ".join(f"{name} {limit:g} {UNITS[name]}" for name, limit in limits.items()) or "no limit is set"
    beside = f"context {plan.device.context:,}, prompt {plan.device.prompt_tokens:,}"
    lines = [f"budget: {said}; {_threads(planner, plan.device)}, {beside}", ""]
    listed = _listed(plan)
    shown = [*plan.asked, *listed]
    if plan.best is not None and plan.best not in shown:
        shown.append(plan.best)
    rows = [_row(one, plan.device) for one in shown]
    lines += [*aligned(HEAD, rows), ""]
    return [*lines, *_verdict(plan, planner, asked)]


def _threads(planner: Planner, device: Device) -> str:
    """What the figures are of; a published class has threads of its own, whatever the device says."""
    from hone.task.spec import THIS_MACHINE

    fit = next(iter(planner.fits.values()))
    if fit.name == THIS_MACHINE:
        return counted(device.threads, "thread")
    own = counted(fit.threads, "thread") if fit.threads else "the GPU"
    same = fit.threads == device.threads
    return own if same else f"{own} as published of {fit.name} (device.threads {device.threads} changes nothing)"


def _listed(plan: Plan) -> list[Candidate]:
    """The largest presets that hold, or may, and the smallest that do not."""
    holding = [one for one in plan.presets if one.may_hold]
    over = [one for one in plan.presets if not one.may_hold]
    return [*over[-2:], *holding[: SHOWN_PRESETS - min(2, len(over))]]


def _row(one: Candidate, device: Device) -> Sequence[str]:
    model = one.model
    figures = [_figure(one.estimates.get(name)) for name in ("size_mb", "ram_mb", "first_token_ms", "ms_per_token")]
    over = ", ".join(name.removesuffix("_mb") for name in one.over)
    unknown = ", ".join(name.removesuffix("_mb") for name in one.not_known)
    broken = "; ".join([*([f"over: {over}"] if over else []), *([f"not known: {unknown}"] if unknown else [])])
    return (
        one.name,
        str(model.hidden),
        str(model.layers),
        f"{model.vocab:,}",
        f"{model.context:,}",
        f"{one.storage.runtime} {one.storage.name}",
        *figures,
        f"{one.gb_per_s:.1f}" if one.gb_per_s is not None else "",
        f"refused: {one.refused}" if one.refused else broken or ("holds" if one.surely(device) else "may hold"),
    )


def _figure(one: Estimate | None) -> str:
    if one is None:
        return ""
    if one.error >= NO_BETTER:
        return f"{_number(one.value)} ±{one.error:.0%}{'' if one.known else '+'}"
    return f"{_number(one.value)} ±{_number(one.value * one.error, 2)}"


def _number(value: float, digits: int = 3) -> str:
    """So many digits, and those before the point as they are."""
    rounded = float(f"{value:.{digits}g}")
    return f"{value:,.0f}" if rounded >= 10**digits else f"{rounded:g}"


def _verdict(plan: Plan, planner: Planner, asked: _Asked) -> list[str]:
    """What holds, how far it could grow, or what to change."""
    chosen = plan.chosen
    if plan.undecided is not None:
        return [_undecided(plan.undecided, next(iter(planner.fits.values())), asked)]
    if chosen is None:
        head = (
            [f"{asked.name} holds the budget in no format{_guess(plan)}; what one change gives:"] if plan.advice else []
        )
        lines = [*head, *(f"  {one.line()}" for one in plan.advice)]
        best = plan.best
        end = "nothing that is planned holds"
        if best is not None:
            end = f"the largest that holds: {best.name} in {best.storage.name}{_unsure(best, plan)}"
        if best is None and any(one.may_hold for one in plan.presets):
            end = "the presets that are not over may hold: the rest of the budget has no figure here"
        floor, limit = planner.memory_without_model(), plan.device.ram_mb
        if floor is not None and limit is not None and floor >= limit:
            lines.append(f"memory: the process takes {floor:,.0f} MB without any model, so no model holds {limit:g} MB")
        return [*lines, end]
    lines = [f"{asked.name} holds the budget in {chosen.storage.name}{_unsure(chosen, plan)}"]
    if asked.shape is not None:
        room = {what: planner.largest(chosen, asked.shape, what) for what in ("vocab", "context")}
        lines.append(f"so does a vocabulary of {room['vocab']:,}, or a context of {room['context']:,} tokens")
    if plan.best is not None and plan.best.rank > chosen.rank:
        best = plan.best
        lines.append(f"the largest that holds: {best.name} in {best.storage.name}{_unsure(best, plan)}")
    return lines


def _unsure(one: Candidate, plan: Plan) -> str:
    why = one.unsure(plan.device)
    return f"; {why}" if why else ""


def _guess(plan: Plan) -> str:
    """What to say where a figure that is over has an error that is not known."""
    from hone.model.machine_fit import MOST_ERROR

    guessed = any(not one.estimates[figure].known for one in plan.asked for figure in one.over)
    return f" by these figures (the error is not known beyond {MOST_ERROR:.0%})" if guessed else ""


def _undecided(one: Candidate, fit: MachineFit, asked: _Asked) -> str:
    """What is known where a limited figure is not."""
    from hone.model.plan import NAMES

    what = ", ".join(NAMES[name] for name in one.not_known)
    return (
        f"it is not known whether {asked.name} holds the budget: {fit.name} has no figure for {what}; what is known "
        f"of {one.storage.name} is within it. A plan on the device itself measures the rest"
    )
