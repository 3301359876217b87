"""Golden vectors, ``golden.json``: prompts with the answers that a right reading of the artifact gives.

They tell a port of the tokenizer, the renderer or the model's graph from a whole one. Prompts are the model's stored
examples, as fields and as ids; beside them are the ids of awkward texts. An answer counts up to where the artifact's
own two likeliest tokens lie within ``tie_nats`` of each other: there it is one of the tokens that tie, and behind
that point another machine's rounding chooses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.certificate.corpus import AWKWARD_TEXTS
from hone.deploy.certificate.original import Original
from hone.deploy.weights import weight_format
from hone.evaluate.generate import Generation
from hone.task.conversation import before_answer
from hone.task.embedding import EMBED
from hone.task.encoding import EncoderRenderer
from hone.task.render import Renderer
from hone.task.templates import columns, fill

FORMAT = 1
MOST_NEW_TOKENS = 48
SHARE_TOLERANCE, ROUNDED_TOLERANCE = 0.02, 0.05
"""Probabilities of labels may differ by so much between machines and versions. The second holds for weights in
blocks: their products round inputs too, and do it otherwise on another processor or in a browser."""
MOST_APART, ROUNDED_MOST_APART = 0.02, 0.05
"""The same of vectors: the distance to the golden one by its length, which sees direction and length."""
STARTED_CHARS = 40
"""Of a document that a language model is to continue."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One prompt: what an application gives, its text, its ids."""

    row: str
    given: Any
    text: str
    ids: list[int]


def asked_of(renderer: Renderer, stored: Mapping[str, Any]) -> Asked:
    """A stored example as what an application would give: a text, columns with their texts, or messages."""
    fields = stored["fields"]
    encoder = isinstance(renderer, EncoderRenderer)
    if renderer.kind == "language-model":
        text = str(renderer.reference(fields))[:STARTED_CHARS]
        ids = [*renderer.prompt_ids({}), *renderer.tokenizer.encode(text)] if not encoder else []
        return Asked(row=stored["row"], given=text, text=text, ids=ids or renderer.prompt_ids(fields))
    text, ids = renderer.prompt_text(fields), renderer.prompt_ids(fields)
    if renderer.conversation is not None:
        turns = before_answer(renderer.conversation.form.turns(fields))
        given: Any = [{"role": turn.role, "content": turn.text} for turn in turns]
    else:
        names = columns(renderer.input_template)
        given = {name: str(fill(f"{{{name}}}", fields)) for name in names}
    return Asked(row=stored["row"], given=given, text=text, ids=ids)


def golden_of(
    session: Any,
    renderer: Renderer,
    stored: Sequence[Mapping[str, Any]],
    *,
    original: Original | None,
    max_new_tokens: int,
    tie_nats: float,
) -> dict[str, Any]:
    """The content of ``golden.json``.

    Args:
        session: the opened artifact, of a decoder or of an encoder.
        renderer: what the model was trained with.
        stored: stored examples of the model folder.
        original: the float model; where its answer is the artifact's, the vector says ``by: original``.
        max_new_tokens: longest answer.
        tie_nats: see the module.
    """
    asked = [one for one in (asked_of(renderer, item) for item in stored) if len(one.ids) < session.context]
    limit = min(max_new_tokens, MOST_NEW_TOKENS)
    if isinstance(renderer, EncoderRenderer):
        vectors = _read(session, renderer, asked)
    elif renderer.kind == "classify":
        vectors = _labelled(session, renderer, asked, tie_nats)
    else:
        vectors = _written(session, renderer, asked, original, limit, tie_nats)
    return {
        "format": FORMAT,
        "kind": renderer.kind,
        "end_id": renderer.end_id,
        "max_new_tokens": limit,
        "share_tolerance": share_tolerance(session),
        "choosing": _choosing(renderer),
        **({"most_apart": _of_format(session, MOST_APART, ROUNDED_MOST_APART)} if renderer.kind == EMBED else {}),
        "vectors": vectors,
        "texts": [{"text": text, "ids": list(renderer.tokenizer.encode(text))} for text in AWKWARD_TEXTS],
    }


def share_tolerance(session: Any) -> float:
    """How far a label's probability may be off on another machine, by the artifact's weight format."""
    return _of_format(session, SHARE_TOLERANCE, ROUNDED_TOLERANCE)


def _of_format(session: Any, in_floats: float, in_blocks: float) -> float:
    """What holds for an artifact's weight format."""
    stated = session.metadata("hone.weights")
    return in_blocks if stated and weight_format(stated).block > 1 else in_floats


def golden_problems(session: Any, golden: Mapping[str, Any]) -> list[str]:
    """Sentences on everything that an opened artifact answers otherwise than its golden vectors say."""
    problems = [
        f"the text {item['text'][:40]!r} has the ids {found[:8]}, golden {item['ids'][:8]}"
        for item in golden["texts"]
        if (found := session.tokenize(item["text"])) != item["ids"]
    ]
    for item in golden["vectors"]:
        problems += [f"row {item['row']}: {problem}" for problem in _differences(session, golden, item)]
    return problems


def _differences(session: Any, golden: Mapping[str, Any], item: Mapping[str, Any]) -> list[str]:
    if "shares" in item:
        found = shares_of(session, golden["choosing"], item["prompt_ids"])
        apart = float(np.abs(found - np.asarray(item["shares"])).max())
        tolerance = golden["share_tolerance"]
        return [f"a probability is off by {apart:.3f}, {tolerance:g} is allowed"] if not apart <= tolerance else []
    if "tags" in item:
        logits = session.tag([item["prompt_ids"]])[0]
        tags = [int(row.argmax()) for row in logits[item["at"]]]
        return [f"tags {tags}, golden {item['tags']}"] if tags != item["tags"] else []
    if "vector" in item:
        vector, expected = session.vectors([item["prompt_ids"]])[0], np.asarray(item["vector"])
        apart, most = float(np.linalg.norm(vector - expected) / np.linalg.norm(expected)), golden["most_apart"]
        return [f"its vector is {apart:.3f} of its length off, {most:g} is allowed"] if not apart <= most else []
    if "ids" not in item:
        return []
    done = session.generate([item["prompt_ids"]], max_new_tokens=golden["max_new_tokens"], end_id=golden["end_id"])[0]
    whole, sure, tied = with_end(done, golden["end_id"]), item["sure"], item.get("tied")
    if whole[:sure] != item["ids"][:sure]:
        return [f"the answer begins with {whole[:sure]}, golden {item['ids'][:sure]}"]
    if tied and not set(whole[sure : sure + 1]) & set(tied):
        return [f"the answer begins with {whole[: sure + 1]}, golden {item['ids'][:sure]} and one of {tied[:8]}"]
    return []


def shares_of(session: Any, choosing: Mapping[str, Any], ids: Sequence[int]) -> NDArray[np.float64]:
    """(num_labels,) probabilities of a row's labels, by a session of a decoder or of an encoder."""
    if "label_ids" in choosing:
        row = np.asarray(session.label_logprobs([ids], choosing["label_ids"])[0], dtype=np.float64)
        return _softmax(row)
    logits = np.asarray(session.classify([ids])[0], dtype=np.float64) / choosing["temperature"]
    if choosing["several"]:
        return np.asarray(1 / (1 + np.exp(-logits)))
    return _softmax(logits)


def _softmax(row: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.exp(row - row.max())
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def with_end(generation: Generation, end_id: int) -> list[int]:
    """The ids of an answer, with the end where the model wrote one."""
    return [*generation.ids, end_id] if generation.finished else list(generation.ids)


def _choosing(renderer: Renderer) -> dict[str, Any]:
    """How labels are chosen: ids of a decoder's label tokens, or an encoder's temperature and threshold."""
    if isinstance(renderer, EncoderRenderer):
        several = renderer.kind == "multi-label"
        return {"temperature": renderer.temperature, "threshold": renderer.threshold, "several": several}
    return {"label_ids": list(renderer.label_ids)} if renderer.kind == "classify" else {}


def _vector(one: Asked, **answer: Any) -> dict[str, Any]:
    return {"row": one.row, "given": one.given, "prompt": one.text, "prompt_ids": list(one.ids), **answer}


def _written(
    session: Any,
    renderer: Renderer,
    asked: Sequence[Asked],
    original: Original | None,
    limit: int,
    tie_nats: float,
) -> list[dict[str, Any]]:
    """Vectors of written answers."""
    prompts = [one.ids for one in asked]
    if not prompts:
        return []
    ours = session.generate(prompts, max_new_tokens=limit, end_id=renderer.end_id)
    theirs = [] if original is None else original.generate(prompts, max_new_tokens=limit, end_id=renderer.end_id)
    vectors = []
    for place, (one, done) in enumerate(zip(asked, ours, strict=True)):
        ids = with_end(done, renderer.end_id)
        sure, tied = _sure(session, one.ids, ids, tie_nats)
        same = bool(theirs) and sure > 0 and with_end(theirs[place], renderer.end_id)[:sure] == ids[:sure]
        answer = {
            "ids": ids,
            "sure": sure,
            "tied": tied,
            "finished": done.finished,
            "by": "original" if same else "artifact",
        }
        text, value = renderer.tokenizer.decode(list(done.ids)), renderer.parse(list(done.ids))
        vectors.append(_vector(one, **answer, text=text, value=value))
    return vectors


def _sure(session: Any, prompt: Sequence[int], ids: Sequence[int], tie_nats: float) -> tuple[int, list[int]]:
    """How many of an answer's first ids stand clear of the second likeliest, and the ids that tie behind them."""
    if not ids:
        return 0, []
    rows = session.logprobs([[*prompt, *ids[:-1]]])[0][len(prompt) - 1 :]
    two = np.partition(rows, -2, axis=-1)[:, -2:]
    close = np.flatnonzero(two[:, 1] - two[:, 0] <= tie_nats)
    if not len(close):
        return len(ids), []
    row = rows[close[0]]
    return int(close[0]), [int(one) for one in np.flatnonzero(row.max() - row <= tie_nats)]


def _labelled(session: Any, renderer: Renderer, asked: Sequence[Asked], tie_nats: float) -> list[dict[str, Any]]:
    """Vectors of a decoder's labels."""
    vectors = []
    for one in asked:
        shares = shares_of(session, _choosing(renderer), one.ids)
        value = renderer.labels[int(shares.argmax())]
        vectors.append(
            _vector(one, shares=_rounded(shares), value=value, clear=_clear(shares, tie_nats), by="artifact")
        )
    return vectors


def _read(session: Any, renderer: EncoderRenderer, asked: Sequence[Asked]) -> list[dict[str, Any]]:
    """Vectors of what an encoder reads: labels with probabilities, tags at positions, or a text as one vector."""
    vectors = []
    for one in asked:
        if renderer.kind == "language-model":
            vectors.append(_vector(one))
        elif renderer.kind == EMBED:
            vectors.append(_vector(one, vector=_rounded(session.vectors([one.ids])[0]), by="artifact"))
        elif renderer.kind == "tag":
            at = renderer.supervised_at(one.given)
            tags = [int(row.argmax()) for row in session.tag([one.ids])[0][at]]
            value: Any = renderer.entities(one.given, tags)
            vectors.append(_vector(one, at=at, tags=tags, value=value, by="artifact"))
        else:
            shares = shares_of(session, _choosing(renderer), one.ids)
            several = renderer.kind == "multi-label"
            value = renderer.labels_from(shares) if several else renderer.labels[int(shares.argmax())]
            far = np.abs(shares - renderer.threshold).min() if several else _gap(shares)
            clear = bool(far > share_tolerance(session))
            vectors.append(_vector(one, shares=_rounded(shares), value=value, clear=clear, by="artifact"))
    return vectors


def _clear(shares: NDArray[np.float64], tie_nats: float) -> bool:
    """Whether the likeliest label stands clear of the second."""
    two = np.sort(shares)[-2:]
    return len(two) < 2 or bool(np.log(two[1]) - np.log(max(two[0], 1e-300)) > tie_nats)


def _gap(shares: NDArray[np.float64]) -> float:
    two = np.sort(shares)[-2:]
    return float(two[-1] - two[0]) if len(two) == 2 else 1.0


def _rounded(shares: NDArray[np.float64]) -> list[float]:
    return [round(float(one), 6) for one in shares]
