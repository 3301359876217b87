"""The same model and rows under TRL's ``SFTTrainer``, in four settings.

Equal for all, because hone has it so: 32 bits (TRL's default is bf16, also on a CPU), no gradient checkpointing (its
default), one rate, the same clipping, no logging and no checkpoints. Everything else is TRL's default of its version;
AdamW is Transformers' default, fused. ``padding-free`` and ``packed`` are only to be compared with where
``isolation.py`` finds that documents don't see each other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import torch
from transformers import PreTrainedTokenizerFast, TrainerCallback
from trl import SFTConfig, SFTTrainer

from turns import Gate
from work import CONTEXT, ENDLESS, Work

ROWS_PER_SEQUENCE = 8
"""Rows of the voice task that fill a sequence of 256 tokens: as many tokens a step when packed."""
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "defaults": {},
    "grouped": {"train_sampling_strategy": "group_by_length"},
    "padding-free": {"padding_free": True, "max_length": None},
    "packed": {"packing": True, "packing_strategy": "bfd", "max_length": CONTEXT},
    "wrapped": {"packing": True, "packing_strategy": "wrapped", "max_length": CONTEXT},
}


class GateCallback(TrainerCallback):
    """Calls the gate after each optimizer step."""

    def __init__(self, gate: Gate, counts: list[tuple[int, int]]) -> None:
        self.gate, self.counts = gate, counts

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """See the base class. The loader reads ahead by one batch, so counts are looked up by step."""
        if self.gate.step(*self.counts[state.global_step - 1]):
            control.should_training_stop = True


class CountingTrainer(SFTTrainer):
    """An ``SFTTrainer`` that remembers how large each batch was."""

    counts: list[tuple[int, int]]

    def compute_loss(self, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
        """See the base class."""
        labels = inputs["labels"][:, 1:]
        self.counts.append((inputs["input_ids"].numel(), int((labels != -100).sum())))
        return super().compute_loss(model, inputs, *rest, **named)


def tokenizer_of(vocab: int) -> Any:
    """A tokenizer that is never asked: rows come as ids, and the collator wants to know the padding."""
    from tokenizers import Tokenizer, models

    names = {"<|pad|>": 0, "<|end|>": 3, **{f"<{index}>": index for index in range(vocab) if index not in (0, 3)}}
    inner = Tokenizer(models.WordLevel(names, unk_token="<|pad|>"))
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<|pad|>", eos_token="<|end|>")


def trainer_of(work: Work, folder: Path, setting: Mapping[str, Any], callbacks: list[Any] | None = None) -> Any:
    """The trainer with its prepared data."""
    recipe = work.recipe
    rows = [
        {
            "input_ids": example.ids.tolist(),
            "labels": [int(token) if on else -100 for token, on in zip(example.ids, example.supervised, strict=True)],
        }
        for example in work.examples
    ]
    packed = setting.get("packing", False)
    config = SFTConfig(
        output_dir=str(folder),
        max_steps=ENDLESS,
        per_device_train_batch_size=max(1, recipe.batch_size // ROWS_PER_SEQUENCE) if packed else recipe.batch_size,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        adam_beta1=recipe.beta1,
        adam_beta2=recipe.beta2,
        max_grad_norm=recipe.clip_norm,
        lr_scheduler_type="constant",
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=True,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        seed=recipe.seed,
        **setting,
    )
    with tempfile.TemporaryDirectory() as scratch:
        datasets.config.HF_DATASETS_CACHE = Path(scratch)
        return CountingTrainer(
            model=work.model(),
            args=config,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=tokenizer_of(work.vocab),
            callbacks=callbacks,
        )


def train(work: Work, gate: Gate, folder: Path, setting: Mapping[str, Any]) -> None:
    """Train until the gate says stop."""
    counts: list[tuple[int, int]] = []
    trainer = trainer_of(work, folder, setting, [GateCallback(gate, counts)])
    trainer.counts = counts
    torch.set_num_threads(recipe_threads(work))
    trainer.train()


def recipe_threads(work: Work) -> int:
    """Threads of the recipe; Transformers leaves them as they are."""
    return work.recipe.threads
