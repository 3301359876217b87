"""How far a trained model is from its base: weights by layer, predictions on neutral text, and what was forgotten.

Relative change is ``||W - W0|| / ||W0||`` (Frobenius) over the tensors of a layer. KL is the mean of
``KL(base || tuned)`` over the tokens of neutral text, in nats per token, over the base's own ids. Forgetting is the
rise of the base's own loss on that text: next-token for a decoder, masked words for an encoder with the head for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hone.model.neutral import masked_logprobs, mean_loss, neutral_texts, next_token_logprobs, pooled, rows_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hone.model.base import Base

LAYER = re.compile(r"^(?:.*\.)?(?:layers?|h|blocks?)\.(\d+)\.")
FORGETTING = 0.1
"""Rise of the base's own loss, in nats per token, over which replay is offered: a perplexity a tenth higher."""
REPLAY_SHARE = 0.1
"""Share of replayed rows that is offered (1 to 10 % keeps most of it: T. Scialom et al., arXiv:2205.12393)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """How far the tensors of one layer moved."""

    layer: str
    """``layer 3``, ``embeddings``, or the name of what stands outside of the layers."""
    parameters: int
    """Compared ones: rows of new tokens and new heads have no base."""
    relative: float
    """``||W - W0|| / ||W0||``; 0 where nothing moved."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Distance:
    """The distance of a model from its base."""

    base: str
    """Reference of the base."""
    base_id: str
    relative: float
    """Relative change over all compared parameters."""
    layers: tuple[Change, ...]
    """In the model's order."""
    new: int
    """Parameters that the base does not have: new tokens, a new head."""
    kl: float | None
    """Nats per token; None where the base has no head that predicts words."""
    loss_before: float | None
    """The base's own loss on neutral text, in nats per token."""
    loss_after: float | None
    cosine: float | None
    """Mean cosine between the base's and the model's mean state of each text, for encoders."""
    tokens: int
    """Predicted tokens of neutral text."""
    can_replay: bool
    """Whether plain text can be mixed into its training: into that of decoders."""

    @property
    def forgetting(self) -> float | None:
        """Rise of the loss in nats per token; below zero where the model became better at neutral text."""
        return None if self.loss_before is None or self.loss_after is None else self.loss_after - self.loss_before

    @property
    def is_forgetful(self) -> bool:
        """Whether more was forgotten than :data:`FORGETTING`."""
        return self.forgetting is not None and self.forgetting > FORGETTING

    def lines(self) -> list[str]:
        """For people: the whole, the layers that moved most, what was forgotten, and what helps against it."""
        most = sorted(self.layers, key=lambda change: -change.relative)[:3]
        named = ", ".join(f"{change.layer} {change.relative:.2%}" for change in most)
        lines = [f"distance from {self.base}: weights moved by {self.relative:.2%} (most: {named})"]
        if self.new:
            lines[0] += f"; {self.new:,} parameters are new"
        if self.cosine is not None:
            lines.append(f"  states of neutral text: mean cosine {self.cosine:.3f} with the base's (1: unchanged)")
        if self.forgetting is None:
            lines.append("  forgetting: cannot be told, the base has no head that predicts words")
            return lines
        kl = "" if self.kl is None else f", KL {self.kl:.3f} nats per token"
        lines.append(
            f"  forgetting: loss on neutral text {self.loss_before:.3f} -> {self.loss_after:.3f} nats per token "
            f"({self.forgetting:+.3f}, {self.tokens:,} tokens){kl}"
        )
        if self.is_forgetful:
            helps = ["a lower learning_rate", "fewer steps"]
            if self.can_replay:
                helps.insert(0, f"plain text mixed in (--set replay=FILE --set replay_share={REPLAY_SHARE:g})")
            else:
                helps.insert(1, "layer_decay below 1")
            lines.append(
                f"  more than {FORGETTING:g} nats were forgotten; if the base's abilities matter, what helps is "
                f"{', '.join(helps[:-1])} or {helps[-1]}"
            )
        return lines

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {**asdict(self), "forgetting": self.forgetting, "is_forgetful": self.is_forgetful}


def distance(base: Base, module: nn.Module, texts: Sequence[str] | None = None) -> Distance:
    """Measure a model that was trained from a base; the base is loaded once more beside it.

    Args:
        base: as it was opened for the training; its files must still be there.
        module: the trained model; it is left as it was.
        texts: instead of the shipped neutral text.

    Raises:
        FailedError: when the base's files have changed.
    """
    base.check_unchanged()
    was_training = module.training
    module.eval()
    try:
        origin, fresh = base.load()
        layers, relative, new = _changes(base, origin, module, set(fresh))
        rows = rows_of(base, neutral_texts() if texts is None else texts)
        told = _decoder(base, origin, module, rows) if base.opening.use == "next-token" else None
        cosine = None
        if told is None:
            cosine = float((pooled(origin, rows) * pooled(module, rows)).sum(-1).mean())
            told = _encoder(base, module, rows)
    finally:
        module.train(was_training)
    kl, before, after, tokens = told
    return Distance(
        base=base.reference,
        base_id=base.id,
        relative=relative,
        layers=tuple(layers),
        new=new,
        kl=kl,
        loss_before=before,
        loss_after=after,
        cosine=cosine,
        tokens=tokens,
        can_replay=base.opening.use == "next-token",
    )


def _changes(base: Base, origin: nn.Module, module: nn.Module, fresh: set[str]) -> tuple[list[Change], float, int]:
    """Change by layer and over all, and the number of parameters without a base."""
    import torch

    theirs = dict(origin.named_parameters())
    words = _of_words(origin)
    sums: dict[str, list[float]] = {}
    new = 0
    with torch.no_grad():
        for name, param in module.named_parameters():
            old = theirs.get(name)
            if old is None or name in fresh:
                new += param.numel()
                continue
            rows = base.vocabulary.before if id(old) in words else len(old)
            now, then = param.detach()[:rows].float().cpu(), old[:rows].float()
            new += param.numel() - now.numel()
            one = sums.setdefault(_layer(name), [0.0, 0.0, 0])
            for place, value in enumerate((_square(now - then), _square(then), now.numel())):
                one[place] += value
    changes = [
        Change(layer=layer, parameters=int(number), relative=_ratio(moved, whole))
        for layer, (moved, whole, number) in sums.items()
    ]
    moved, whole = (sum(one[place] for one in sums.values()) for place in (0, 1))
    return changes, _ratio(moved, whole), new


def _of_words(module: Any) -> set[int]:
    """Parameters with a row (or a value) for each id: those of new tokens stand at their end."""
    parts = [part for part in (module.get_input_embeddings(), module.get_output_embeddings()) if part is not None]
    return {id(param) for part in parts for param in part.parameters()}


def _square(values: Tensor) -> float:
    return values.double().square().sum().item()


def _ratio(moved: float, whole: float) -> float:
    """Relative change; of tensors that were zero the plain norm, which has no scale to be compared with."""
    return math.sqrt(moved / whole if whole else moved)


def _layer(name: str) -> str:
    if found := LAYER.match(name):
        return f"layer {found.group(1)}"
    if "embed" in name or re.search(r"\bw[tp]e\b", name):
        return "embeddings"
    return ".".join(name.removesuffix(".weight").removesuffix(".bias").split(".")[-2:])


Told = tuple[float | None, float | None, float | None, int]


def _decoder(base: Base, origin: Any, module: Any, rows: Sequence[Sequence[int]]) -> Told:
    ids = base.vocabulary.before
    return _compared(next_token_logprobs(origin, rows, ids), next_token_logprobs(module, rows, ids))


def _encoder(base: Base, module: Any, rows: Sequence[Sequence[int]]) -> Told:
    """The trained trunk under the head that predicted words, against the base itself."""
    found = base.masked_words()
    if found is None:
        return None, None, None, 0
    origin, mask = found
    ids = base.vocabulary.before
    if base.opening.use == "masked-tokens":
        carried = module
    else:
        carried, _ = base.load("masked-tokens")
        _put_trunk(carried, module)
    return _compared(masked_logprobs(origin, rows, ids, mask), masked_logprobs(carried, rows, ids, mask))


def _put_trunk(carried: Any, module: Any) -> None:
    """The trunk's weights of one model into another, whose output matrix stays the base's where it is not tied."""
    trunk = {name: value.detach().cpu() for name, value in module.base_model.state_dict().items()}
    carried.base_model.load_state_dict(trunk, strict=False)  # a pooler is there with some heads only


def _compared(before: Iterator[tuple[Tensor, Tensor]], after: Iterator[tuple[Tensor, Tensor]]) -> Told:
    """KL, both losses and the number of tokens, row by row: no two rows' logits are in memory at once."""
    kl = first = second = 0.0
    num_tokens = 0
    for (old, targets), (new, _) in zip(before, after, strict=True):
        moved = new.to(old.device)
        kl += float((old.exp() * (old - moved)).sum())
        first += mean_loss(iter([(old, targets)]))[0] * len(targets)
        second += mean_loss(iter([(moved, targets)]))[0] * len(targets)
        num_tokens += len(targets)
    count = max(1, num_tokens)
    return kl / count, first / count, second / count, num_tokens
