"""What the engine cannot carry out, by the recipe alone: asked before anything is read. Imports no torch."""

from __future__ import annotations

from hone.task.recipe import Recipe


def refusals(recipe: Recipe) -> list[str]:
    """A sentence for each combination of keys that the engine refuses, with what to set instead."""
    problems = []
    sharded = recipe.strategy == "fsdp" and recipe.processes > 1
    if recipe.compile is True and sharded:
        problems.append("compile does not go with strategy fsdp here; set compile to false, or strategy to ddp")
    if recipe.optimizer == "adafactor" and sharded:
        problems.append("adafactor does not go with strategy fsdp: its rows and columns are not sharded; take adamw")
    if recipe.aware != "none" and sharded:
        problems.append("aware does not go with strategy fsdp: whole matrices are rounded; set strategy to ddp")
    return problems
