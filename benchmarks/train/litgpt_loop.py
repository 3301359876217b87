"""A litgpt model of equal shape under the step of ``litgpt pretrain``: its forward, chunked loss, clipping, AdamW.

What its ``fit`` does around the step (a look at the clock, one line a step) is left out, in its favour; so is its
torch.compile, since nobody compiles here. AdamW is fused for it too, which litgpt asks for on a GPU only.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from litgpt.config import Config
from litgpt.model import GPT
from litgpt.utils import chunked_cross_entropy

from bare_loop import IGNORED, collate
from hone.model.presets import Shape, parameters, shape_of
from turns import Gate
from work import Work


def config_of(shape: Shape) -> Config:
    """The same shape in litgpt's words."""
    return Config(
        name="same-shape",
        block_size=shape.context,
        vocab_size=shape.vocab,
        padded_vocab_size=shape.vocab,
        n_layer=shape.layers,
        n_head=shape.heads,
        n_query_groups=shape.kv_heads,
        n_embd=shape.hidden,
        intermediate_size=shape.ffn,
        rotary_percentage=1.0,
        rope_base=int(shape.rope_theta),
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        norm_qk=shape.arch == "qwen3",
        norm_eps=1e-5,
        mlp_class_name="LLaMAMLP",
    )


def model_of(shape: Shape) -> Any:
    """Litgpt's model with as many parameters, output matrix and embedding tied where the shape says so."""
    model = GPT(config_of(shape))
    if shape.tied:
        model.lm_head.weight = model.transformer.wte.weight
    count = sum(param.numel() for param in model.parameters())
    assert count == parameters(shape), f"{count:,} parameters; the other side has {parameters(shape):,}"
    return model


def train(work: Work, gate: Gate) -> None:
    """Train until the gate says stop."""
    from lightning_fabric import Fabric

    recipe = work.recipe
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    fabric.launch()
    model = fabric.setup_module(model_of(shape_of(recipe, work.vocab)))
    optimizer = fabric.setup_optimizers(
        torch.optim.AdamW(
            model.parameters(),
            lr=recipe.learning_rate,
            betas=(recipe.beta1, recipe.beta2),
            weight_decay=recipe.weight_decay,
            fused=True,
        )
    )
    batches = [collate(rows) for rows in work.steps()]
    model.train()
    for ids, labels in itertools.cycle(batches):
        logits = model(ids)
        targets = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
        fabric.backward(chunked_cross_entropy(logits, targets, ignore_index=IGNORED))
        fabric.clip_gradients(model, optimizer, max_norm=recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        if gate.step(ids.numel(), int((targets != IGNORED).sum())):
            return
