"""Proposing numbers for a new task: the target from a baseline, the dev split from the number of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hone.cli.columns import Looked, Proposal
from hone.data.rows import Row, fingerprint
from hone.data.split import position
from hone.errors import InputError
from hone.task.metrics import METRICS
from hone.task.proof import most_provable, rows_to_prove
from hone.task.render import task_prompt, task_reference
from hone.task.spec import Task
from hone.wording import counted

TARGET_SHARE = 0.2
MOST_SCORED = 300
MOST_LEARNED = 4_000
DEV_ROWS = 700
DEV_SHARE = 0.1
FEW_DEV_ROWS = 100
"""Where a tenth is fewer, a fifth is proposed: the target must hold at the pessimistic end of dev's interval."""


def propose_target(make: Callable[[float], Task], looked: Looked, rows_of: Mapping[str, int]) -> Proposal:
    """Half the way from the nearest training row's answer to perfect; for bits per byte 5 % below the best baseline.

    Never more than the rows of dev and test prove when all of them are right.

    Args:
        make: the task with a given target; its metric and templates are used.
        looked: the rows; a fifth of them, by hash, is scored, at most 300 against at most 4,000.
        rows_of: rows of each split that is scored; empty where they are not known.

    Raises:
        InputError: when there are too few rows to measure a baseline.
    """
    from hone.evaluate.baselines import baselines

    task = make(1.0)
    learned, scored = _parted(task, looked.rows)
    if not learned or not scored:
        few = counted(len(looked.rows), "different row is", "different rows are")
        raise InputError(
            f"--target is missing, and {few} too few to measure a baseline that it could be proposed from; "
            "give --target"
        )
    found = {item.name: item.score for item in baselines(task, learned, scored)}
    rows = f"on {len(scored):,} of {len(learned) + len(scored):,} rows"
    if not next(iter(found.values())).higher_is_better:
        name, score = min(found.items(), key=lambda item: item[1].mean)
        value = _floor(0.95 * score.mean)
        return Proposal(value=value, why=f"5 % below the best baseline, {name} with {score.mean:.3f} {rows}")
    nearest = found["nearest"]
    value = min(0.99, _floor(nearest.mean + (1 - nearest.mean) / 2))
    why = f"half the way from the most similar training row's answer ({task.metric} {nearest.mean:.3f} {rows}) to 1"
    if len({str(task_reference(task, row.fields)) for row in learned}) == 1:
        why += "; every row has the same answer, so there is nothing to learn yet"
    metric = METRICS[task.metric]
    if (most := most_provable(metric, rows_of)) < value:
        split, least = min(rows_of.items(), key=lambda item: item[1])
        needs = f"needs {rows_to_prove(metric, value):,} rows of each"
        why = f"as much as {counted(least, f'{split} row')} can prove, all right; {value:g}, {why}, {needs}"
        value = _floor(most)
    return Proposal(value=value, why=why)


def propose_dev(looked: Looked) -> Proposal:
    """A tenth of the rows for dev (a fifth where that is under 100), or 700 where that is fewer."""
    if looked.more or DEV_SHARE * len(looked.rows) > DEV_ROWS:
        return Proposal(value=DEV_ROWS, why="hashed out of train for an interval of about 3 points either way")
    share = DEV_SHARE if DEV_SHARE * len(looked.rows) >= FEW_DEV_ROWS else 2 * DEV_SHARE
    return Proposal(value=share, why="share hashed out of train")


def _parted(task: Task, rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Rows to learn from and rows to score, by the hash of the prompt; equal prompts count once."""
    unique = {fingerprint(task_prompt(task, row.fields)): row for row in reversed(rows)}
    places = {key: position(key, "target") for key in unique}
    scored = sorted((key for key in unique if places[key] < TARGET_SHARE), key=places.__getitem__)
    learned = sorted((key for key in unique if places[key] >= TARGET_SHARE), key=places.__getitem__)
    return [unique[key] for key in learned[:MOST_LEARNED]], [unique[key] for key in scored[:MOST_SCORED]]


def _floor(value: float) -> float:
    return int(value * 100 + 1e-9) / 100
