"""The rehearsal: one forward and backward pass on the largest real step, thrown away, before step 1.

What does not fit in memory fails in the first second and not in the third hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hone.errors import FailedError
from hone.task.recipe import Recipe
from hone.train.batches import Batch
from hone.train.compiling import Compiler
from hone.train.generators import generator_states, set_generator_states
from hone.train.stepping import accumulate_gradients
from hone.train.trainable import Trainable

if TYPE_CHECKING:
    from lightning_fabric import Fabric


QUICK_S = 0.3
"""A largest step that took less than this is timed once more, now that its memory is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsal:
    """How long the forward and backward pass of the largest step took."""

    seconds: float
    tokens: int
    """Padding included; of this process."""


def rehearse(
    fabric: Fabric,
    trainable: Trainable,
    batches: Sequence[Batch],
    recipe: Recipe,
    *,
    compiler: Compiler | None = None,
    timed: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Rehearsal:
    """Run the largest step without changing weights or generators; with it the model is compiled, where it is.

    Returns:
        Its time, of one process without that of compiling; ``timed`` measures it once more where it was short.

    Raises:
        FailedError: when it does not fit in memory, with the setting to change and to what.
    """
    states = generator_states()

    def run() -> float:
        begin = time.perf_counter()
        try:
            # What the device was asked to do has been done when the sums are read.
            accumulate_gradients(fabric, trainable.loss_module, batches).values.tolist()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise FailedError(_advice(batches, recipe)) from error
        finally:
            trainable.clear_gradients()
            set_generator_states(states)
        return time.perf_counter() - begin

    try:
        seconds = run()
    except FailedError:
        raise
    except Exception as error:
        if compiler is None:
            raise
        # Whatever a compiler stumbles over, the same step without it decides whether the run can go on.
        say(compiler.take_back(error))
        seconds = run()
    else:
        if compiler is not None:
            say(compiler.warmed_up())
    # Alone only: every process of a group would have to come to the same decision, and their clocks differ.
    if timed and fabric.world_size == 1 and (compiler is not None or seconds < QUICK_S):
        seconds = run()
    return Rehearsal(seconds=seconds, tokens=sum(batch.num_tokens for batch in batches))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice, on a CPU or a GPU."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def _advice(batches: Sequence[Batch], recipe: Recipe) -> str:
    largest = max(batches, key=lambda batch: batch.num_tokens)
    rows, length = largest.ids.shape
    head = f"the largest micro-batch, {rows} rows of {length} tokens, does not fit in memory; "
    divisors = [
        n
        for n in range(recipe.accumulate + 1, recipe.batch_size // recipe.processes + 1)
        if recipe.batch_size % (n * recipe.processes) == 0
    ]
    if recipe.batch_tokens is not None:  # its rows need not divide
        divisors = [2 * recipe.accumulate] if rows > 1 else []
    if divisors:
        return head + f"set accumulate to {divisors[0]} (now {recipe.accumulate}): same result, smaller micro-batches"
    return head + f"its rows cannot be split further: lower the context (now {recipe.context}) or take a smaller model"
