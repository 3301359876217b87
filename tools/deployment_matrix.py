"""Writes the matrix of docs/deployment.md: which runtime takes which model shape in which weight format, and why not.

Everything in it is what the code says: ``refusals`` of each runtime, over the shapes of presets and published models,
and what becomes of an adapter by its type.

    python tools/deployment_matrix.py            # rewrites the document
    python tools/deployment_matrix.py --check    # only says whether it is up to date
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hone.deploy.runtime import runtimes
from hone.deploy.weights import formats_of, weight_format
from hone.model.adapters import REFUSED, SOFT_PROMPTS
from hone.model.encoders import encoder_preset
from hone.model.footprint import blueprint
from hone.model.presets import Shape, config_values, preset
from hone.model.weights import Use

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "deployment.md"
BEGIN, END = "<!-- matrix: python tools/deployment_matrix.py -->", "<!-- end of matrix -->"
ROWS_OF = re.compile(r"rows of (\d+) weights do not divide by the (\d+)")


def models() -> dict[str, tuple[dict[str, Any], Mapping[str, Sequence[int]]]]:
    """By name: ``config.json`` and the tensors' shapes."""
    found: dict[str, tuple[dict[str, Any], Mapping[str, Sequence[int]]]] = {}
    decoders = {
        "voice model, `1m-qwen3`: 128/352": preset("1m-qwen3"),
        "`5m`: 256/704": preset("5m"),
        "`15m`: 512/1536": preset("15m"),
        "of SmolLM2-135M's widths: 576/1536": Shape(
            hidden=576, layers=2, heads=9, kv_heads=3, ffn=1536, vocab=1024, context=2048
        ),
    }
    for name, shape in decoders.items():
        found[name] = ({"model_type": shape.arch, **config_values(shape)}, blueprint(shape).tensors)
    # Its published feed-forward width is none that a preset would have.
    tiny = {name: tuple(172 if size == 192 else size for size in sizes) for name, sizes in _tensors("tiny").items()}
    found["stories260K: 64/172"] = ({"model_type": "llama", **config_values(preset("tiny"))}, tiny)
    encoder = encoder_preset("bert-1m")
    config = {
        "model_type": "bert",
        "vocab_size": encoder.vocab,
        "hidden_size": encoder.hidden,
        "intermediate_size": encoder.ffn,
        "num_hidden_layers": encoder.layers,
        "num_attention_heads": encoder.heads,
        "max_position_embeddings": encoder.context,
        "type_vocab_size": encoder.types,
    }
    heads: tuple[tuple[str, str, Use], ...] = (
        ("labels of rows", "BertForSequenceClassification", "classify-sequence"),
        ("tags", "BertForTokenClassification", "tag-tokens"),
        ("vectors of texts, no head", "BertModel", "embed"),
        ("masked words", "BertForMaskedLM", "masked-tokens"),
    )
    for what, architecture, use in heads:
        name = f"encoder `bert-1m`, {what}: {encoder.hidden}/{encoder.ffn}"
        labels = 3 if use in ("classify-sequence", "tag-tokens") else 0
        found[name] = ({**config, "architectures": [architecture]}, blueprint(encoder, use, labels).tensors)
    found["GPT-2's architecture"] = ({"model_type": "gpt2", "vocab_size": 1024}, {})
    return found


def _tensors(name: str) -> Mapping[str, Sequence[int]]:
    return blueprint(preset(name)).tensors


def matrix() -> str:
    """The tables of both runtimes, and the reasons that the tables number."""
    reasons: list[str] = []
    parts = []
    for name, one in runtimes().items():
        formats = [item.name for item in formats_of(name)]
        lines = [f"| {name} | {' | '.join(formats)} |", "|---" * (len(formats) + 1) + "|"]
        for model, (config, shapes) in models().items():
            cells = [_cell(one.refusals(config, shapes, item), item, reasons) for item in formats]
            lines.append(f"| {model} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    notes = [f"({number}) {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in notes), adapters()])


def adapters() -> str:
    """The table of adapters by PEFT's name of their type; of both runtimes, because a plain model comes of each."""
    others = "all others that PEFT merges: LORA (rsLoRA and DoRA too), IA3, LOHA, OFT, VERA, ..."
    rows = {others: "yes: merged, then a model like any above"}
    rows |= dict.fromkeys((f"`{kind}`" for kind in SOFT_PROMPTS), "yes: each vector a row of the vocabulary")
    rows |= {f"`{kind}`": f"no: {reason}" for kind, reason in REFUSED.items()}
    lines = [f"| {name} | {told} |" for name, told in rows.items()]
    return "\n".join(["| adapter, by `peft_type` | gguf and onnx |", "|---|---|", *lines])


def _cell(refusals: Sequence[str], name: str, reasons: list[str]) -> str:
    """``yes``; rows that do not divide as the two numbers; any other reason by its number below the tables."""
    if not refusals:
        return "yes"
    rows = next((match for line in refusals if (match := ROWS_OF.search(line))), None)
    if rows is not None:
        return f"no: {rows[1]} / {rows[2]}"
    reason = refusals[0].replace(weight_format(name).name, "this format")
    if reason not in reasons:
        reasons.append(reason)
    return f"no ({reasons.index(reason) + 1})"


def written(text: str) -> str:
    """The document with the matrix in its place."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{matrix()}\n\n{END}{after}"


def main() -> None:
    """Rewrite the document, or only compare."""
    text = DOCUMENT.read_text(encoding="utf-8")
    fresh = written(text)
    if "--check" in sys.argv[1:]:
        sys.exit(0 if fresh == text else "docs/deployment.md is behind the code: python tools/deployment_matrix.py")
    DOCUMENT.write_text(fresh, encoding="utf-8")


if __name__ == "__main__":
    main()
