"""What ONNX Runtime GenAI wants beside ``model.onnx``: its configuration, and a tokenizer configuration that it knows.

Keys as its documentation of ``genai_config.json`` names them (https://onnxruntime.ai/docs/genai).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hone.deploy.decoders import DecoderShape
from hone.deploy.onnx.opening import MODEL_FILE
from hone.files import read_json
from hone.task.render import BEGIN, END, PAD

CONFIG_FILE = "genai_config.json"
_TOKENIZER_CONFIG = "tokenizer_config.json"


def genai_files(folder: Path, config: Mapping[str, Any], shape: DecoderShape) -> dict[str, str]:
    """Name and text of each file, for a decoder in a model folder."""
    tokenizer = read_json(folder / "tokenizer.json")
    ids = {str(one["content"]): int(one["id"]) for one in tokenizer.get("added_tokens") or ()}
    stated = folder / _TOKENIZER_CONFIG
    texts = read_json(stated) if stated.is_file() else {}
    # GenAI opens tokenizers by the class's name and does not know that of newer Transformers.
    return {
        CONFIG_FILE: _text(_config(config, shape, ids)),
        _TOKENIZER_CONFIG: _text({**texts, "tokenizer_class": "PreTrainedTokenizerFast"}),
    }


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _config(config: Mapping[str, Any], shape: DecoderShape, ids: Mapping[str, int]) -> dict[str, Any]:
    # hone's own marks decide where there are any: a configuration may carry defaults of its class.
    end = ids.get(END, config.get("eos_token_id"))
    begin = ids.get(BEGIN, config.get("bos_token_id"))
    pad = ids.get(PAD, config.get("pad_token_id"))
    marks = {
        "bos_token_id": begin if begin is not None else 0,
        "eos_token_id": end if end is not None else 0,
        "pad_token_id": pad if pad is not None else (end[0] if isinstance(end, list) else end or 0),
    }
    decoder = {
        # Errors only: it warns of the input that has a default.
        "session_options": {"log_id": "onnxruntime-genai", "log_severity_level": 3, "provider_options": []},
        "filename": MODEL_FILE,
        "head_size": shape.head_width,
        "hidden_size": shape.hidden,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "inputs": {
            "input_ids": "input_ids",
            "attention_mask": "attention_mask",
            "past_key_names": "past_key_values.%d.key",
            "past_value_names": "past_key_values.%d.value",
        },
        "outputs": {
            "logits": "logits",
            "present_key_names": "present.%d.key",
            "present_value_names": "present.%d.value",
        },
    }
    model = {**marks, "type": shape.architecture, "vocab_size": shape.vocab, "context_length": shape.context}
    search = {"max_length": shape.context, "do_sample": False, "num_beams": 1, "past_present_share_buffer": True}
    return {"model": {**model, "decoder": decoder}, "search": search}
