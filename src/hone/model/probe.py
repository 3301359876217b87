"""Signs of tuning in what a model does: does it continue, or does it answer?

Decoders: what follows a question, whether the end comes after an answer, and whether the marks of a chat are expected.
Encoders: whether a masked-LM head is there and works, and whether sentences lie apart as contrastive tuning puts them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hone.model.neutral import (
    context_of,
    masked_logprobs,
    mean_loss,
    neutral_texts,
    next_token_logprobs,
    pooled,
    rows_of,
)
from hone.model.signs import Sign

if TYPE_CHECKING:
    from torch import Tensor

    from hone.model.base import Base

QUESTIONS = (
    "What is the capital of France?",
    "How do I boil an egg?",
    "Who wrote the play Hamlet?",
    "Why is the sky blue?",
    "Can you tell me how to pick a lock?",
    "Write a short poem about the sea.",
)
NEW_TOKENS = 32
"""Tokens that are written after a question."""
REFUSALS = re.compile(
    r"(as an ai\b|as a language model|i'?m sorry,? but|i can(no|')t (help|assist)|i am unable to|i cannot provide)",
    re.IGNORECASE,
)
CHATS = {
    "ChatML": ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"),
    "Llama 3": (
        "<|start_header_id|>user<|end_header_id|>\n\n",
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "Gemma": ("<start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n"),
    "Zephyr": ("<|user|>\n", "</s>\n<|assistant|>\n"),
    "Llama 2": ("[INST] ", " [/INST]"),
    "Alpaca": ("### Instruction:\n", "\n\n### Response:\n"),
    "Vicuna": ("USER: ", " ASSISTANT:"),
}
"""What opens a turn of a user in well-known formats, and what closes it and opens the answer."""
CHAT_LOSS = 0.5
"""Nats per token below which the marks of a chat are expected, when plain text costs at least three times as much."""
COSINE_OF_TUNED = 0.3
"""Mean cosine of the means of unrelated sentences below which an encoder was tuned to hold them apart. Encoders that
only predict words put all sentences into a narrow cone (K. Ethayarajh, arXiv:1909.00512): 0.5 and more."""
NATS_BETTER_THAN_CHANCE = 1.0
"""By how much a masked-LM head that was trained is better than ln V on plain text, at least."""
FAR_OVER_CHANCE = 1.05
"""Factor on ln V over which a decoder's loss on plain text says that ids and rows do not belong together."""


def behaviour_signs(base: Base) -> list[Sign]:
    """Try a base out; its module is loaded and left in evaluation mode."""
    module: Any = base.module.eval()
    if base.opening.use == "next-token":
        return [*_ends(base, module), *_marks(base, module)]
    return [*_words(base), *_apart(base, module)]


def strange_text(base: Base) -> list[str]:
    """A line where plain text surprises a decoder more than chance: the tokenizer is likely another model's."""
    if base.opening.use != "next-token":
        return []
    own = base.vocabulary.before
    loss, _ = mean_loss(next_token_logprobs(base.module.eval(), rows_of(base, neutral_texts()[:3]), own))
    chance = math.log(own)
    if loss <= FAR_OVER_CHANCE * chance:
        return []
    line = (
        f"warning: {base.reference} has a loss of {loss:.2f} nats per token on plain text, and ln V of its {own:,} ids "
        f"is {chance:.2f}: guessing is better. Its tokenizer is likely another model's, or its weights are damaged"
    )
    return [line]


def _ends(base: Base, module: Any) -> Iterator[Sign]:
    """Refusals, and ends that come after an answer but not inside prose."""
    rust, end = base.vocabulary.rust, _end_id(base)
    room = context_of(base)
    answered = [_continued(module, _prompt(base, f"{question}\n"), end, room) for question in QUESTIONS]
    texts = [str(rust.decode(ids)) for ids in answered]
    refused = [text for text in texts if REFUSALS.search(text)]
    if refused:
        said = " ".join(refused[0].split())[:80]
        sentence = f'it refuses or speaks of itself after {len(refused)} of {len(texts)} requests: "{said}"'
        yield Sign(where="behaviour", sentence=sentence, strong=True)
    if end is None:
        return
    prose = [text.split(". ")[0] for text in neutral_texts()[: len(QUESTIONS)]]
    continued = [_continued(module, _prompt(base, text), end, room) for text in prose]
    after_questions, after_prose = (sum(one[-1:] == [end] for one in some) for some in (answered, continued))
    if after_questions >= len(QUESTIONS) // 2 and after_prose <= after_questions // 3:
        yield Sign(
            where="behaviour",
            sentence=f"it ends after {after_questions} of {len(QUESTIONS)} questions within {NEW_TOKENS} tokens, and "
            f"after {after_prose} of {len(prose)} beginnings of prose: it answers instead of continuing",
            strong=True,
        )


def _marks(base: Base, module: Any) -> Iterator[Sign]:
    """The marks behind a user's turn, as expected as only a model does that has seen them a thousand times."""
    plain, _ = mean_loss(next_token_logprobs(module, rows_of(base, neutral_texts()[:4]), base.vocabulary.before))
    for name, (opening, closing) in CHATS.items():
        losses = [_loss_of(base, module, f"{opening}{question}", closing) for question in QUESTIONS]
        loss = sum(losses) / len(losses)
        if loss < CHAT_LOSS and plain > 3 * loss:
            yield Sign(
                where="behaviour",
                sentence=f"it expects the marks of {name} behind a user's turn ({loss:.2f} nats per token; plain text "
                f"{plain:.2f}): it was trained on chats",
                strong=True,
            )


def _loss_of(base: Base, module: Any, before: str, behind: str) -> float:
    """Mean loss, in nats per token, of a text behind another."""
    tail = _encoded(base, behind)
    head = _prompt(base, before)[-max(1, context_of(base) - len(tail)) :]
    ((logprobs, targets),) = next_token_logprobs(module, [[*head, *tail]], base.vocabulary.before)
    chosen: Tensor = logprobs.gather(-1, targets[:, None])[-len(tail) :]
    return -float(chosen.mean())


def _encoded(base: Base, text: str) -> list[int]:
    """Ids with special tokens written out recognised: here the marks are meant."""
    rust = base.vocabulary.rust
    before = rust.encode_special_tokens
    rust.encode_special_tokens = False
    try:
        return [one for one in rust.encode(text, add_special_tokens=False).ids if one < base.vocabulary.before]
    finally:
        rust.encode_special_tokens = before


def _prompt(base: Base, text: str) -> list[int]:
    begin = base.roles.get("begin")
    return [*([base.vocabulary.rust.token_to_id(begin)] if begin else []), *_encoded(base, text)]


def _end_id(base: Base) -> int | None:
    end = base.roles.get("end")
    return None if end is None else int(base.vocabulary.rust.token_to_id(end))


def _continued(module: Any, prompt: Sequence[int], end: int | None, room: int) -> list[int]:
    """The likeliest next ids, up to the end, at most as many as fit into ``room`` with the prompt."""
    import torch

    device = next(module.parameters()).device
    inputs = torch.tensor([list(prompt)[-(room - 1) :]], device=device)
    count = min(NEW_TOKENS, room - inputs.shape[1])
    ids: list[int] = []
    past = None
    with torch.no_grad():
        while len(ids) < count and ids[-1:] != [end]:
            out = module(input_ids=inputs, past_key_values=past, use_cache=True)
            past = out.past_key_values
            ids.append(int(out.logits[0, -1].argmax()))
            inputs = torch.tensor([ids[-1:]], device=device)
    return ids


def _words(base: Base) -> Iterator[Sign]:
    """Whether a masked-LM head is there and predicts words."""
    found = base.masked_words()
    if found is None:
        yield Sign(
            where="behaviour", sentence="the head that it learned to predict words with is gone, as after tuning"
        )
        return
    module, mask = found
    own = base.vocabulary.before
    loss, _ = mean_loss(masked_logprobs(module, rows_of(base, neutral_texts()), own, mask))
    if loss > math.log(own) - NATS_BETTER_THAN_CHANCE:
        sentence = f"it has forgotten words: {loss:.2f} nats for a masked one, chance is {math.log(own):.2f}"
        yield Sign(where="behaviour", sentence=sentence)
    else:
        sentence = f"it predicts masked words ({loss:.2f} nats; chance is {math.log(own):.2f})"
        yield Sign(where="behaviour", sentence=sentence, speaks="base")


def _apart(base: Base, module: Any) -> Iterator[Sign]:
    """How alike unrelated sentences are to it."""
    sentences = [sentence for text in neutral_texts() for sentence in re.split(r"(?<=[.])\s+", text)]
    states = pooled(module, rows_of(base, sentences))
    rows = len(states)
    cosine = (float((states @ states.T).sum()) - rows) / (rows * (rows - 1))
    if cosine < COSINE_OF_TUNED:
        yield Sign(
            where="behaviour",
            sentence=f"unrelated sentences have a mean cosine of {cosine:.2f}; encoders that only predict words have "
            "0.5 and more: it was tuned to hold sentences apart (contrastively)",
            strong=True,
        )
