"""Write a model folder as a GGUF file: Llama-shaped models, and Qwen3-shaped ones (normalised queries and keys).

Key and tensor names, and the row order of q and k for llama.cpp's rotary layout, follow the GGUF specification
and llama.cpp's converter. The renderer, the labels, eight rendered examples and hashes travel in the file under
``hone.*``, so that the artifact alone is enough to serve.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.decoders import ARCHITECTURES, decoder_problems, decoder_shape, tensor_problems
from hone.deploy.gguf.tokenizer import GgufTokenizer, gguf_tokenizer
from hone.deploy.hone_keys import hone_keys
from hone.deploy.tensors import Tensors
from hone.deploy.weights import WeightFormat, row_problems, weight_format
from hone.errors import FailedError, InputError
from hone.files import PART_PREFIX, read_json
from hone.task.render import BEGIN, END, PAD

_PER_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_QWEN3_NORMS = {"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}


def export(folder: Path, weights: str, out: Path) -> Path:
    """Write the model in ``folder`` to ``out`` with matrices in format ``weights`` (see :mod:`hone.deploy.weights`).

    The file appears whole or not at all.

    Raises:
        InputError: when this model cannot be stored so, with all reasons.
        FailedError: when the disk refuses or the weights are damaged.
    """
    chosen = weight_format(weights)
    config = read_json(folder / "config.json")
    tensors = Tensors(folder)
    if problems := refusals(config, tensors.shapes, weights, folder):
        raise InputError(f"{folder}: {problem}" for problem in problems)
    names = tensor_names(config)
    tokenizer = gguf_tokenizer(folder, int(config["vocab_size"]))
    part = out.with_name(f"{PART_PREFIX}{os.getpid()}-{out.name}")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write(part, config, tokenizer, chosen, hone_keys(folder, chosen.name), _converted(tensors, names, config))
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        part.replace(out)
    except OSError as error:
        raise FailedError(f"could not write {out}: {error}; nothing was left under that name") from error
    finally:
        part.unlink(missing_ok=True)
    return out


def refusals(
    config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], weights: str, folder: Path | None = None
) -> list[str]:
    """See :meth:`hone.deploy.runtime.Runtime.refusals`."""
    problems = decoder_problems(config, "GGUF")
    if config.get("model_type") not in ARCHITECTURES:
        return problems
    names = tensor_names(config)
    problems += tensor_problems(shapes, names)
    problems += row_problems({name: shapes[name] for name in names if name in shapes}, weight_format(weights))
    if folder is not None:
        try:
            gguf_tokenizer(folder, int(config["vocab_size"]))
        except InputError as error:
            problems += error.problems
    return problems


def tensor_names(config: Mapping[str, Any]) -> dict[str, str]:
    """Tensor names of a Transformers Llama or Qwen3 to their GGUF names; no output matrix where it is tied."""
    per_layer = {**_PER_LAYER, **(_QWEN3_NORMS if config.get("model_type") == "qwen3" else {})}
    names = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if not config.get("tie_word_embeddings"):
        names["lm_head.weight"] = "output.weight"
    for layer in range(int(config["num_hidden_layers"])):
        for ours, theirs in per_layer.items():
            names[f"model.layers.{layer}.{ours}.weight"] = f"blk.{layer}.{theirs}.weight"
    return names


def rotary_rows(matrix: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of q or k from the half-split rotary layout of Transformers to the interleaved one of llama.cpp.

    (heads * d, in) -> (heads, 2, d/2, in) -> middle axes swapped -> (heads * d, in).
    """
    rows, columns = matrix.shape
    return matrix.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _converted(
    tensors: Tensors, names: Mapping[str, str], config: Mapping[str, Any]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """GGUF name and values of each tensor, one in memory at a time."""
    # llama.cpp rotates Qwen3 in the half-split layout that Transformers has, and only Llama in the interleaved one.
    llama = config["model_type"] == "llama"
    heads = {"attn_q": int(config["num_attention_heads"]), "attn_k": decoder_shape(config).kv_heads} if llama else {}
    for ours, theirs in names.items():
        values = tensors.read(ours)
        kind = theirs.split(".")[-2]
        yield theirs, rotary_rows(values, heads[kind]) if kind in heads else values


def _write(
    path: Path,
    config: Mapping[str, Any],
    tokenizer: GgufTokenizer,
    weights: WeightFormat,
    keys: Mapping[str, str],
    tensors: Iterator[tuple[str, NDArray[np.float32]]],
) -> None:
    import gguf

    logging.getLogger("gguf").setLevel(logging.WARNING)
    kind = gguf.GGMLQuantizationType[weights.name.upper()]
    writer = gguf.GGUFWriter(path, config["model_type"])
    try:
        # Not the configuration's name, which can be a path on the machine of training.
        writer.add_name(keys.get("hone.task", "hone"))
        _add_shape(writer, config, weights)
        _add_tokenizer(writer, tokenizer)
        for key, value in keys.items():
            writer.add_string(key, value)
        for name, values in tensors:
            if values.ndim == 1:
                writer.add_tensor(name, np.ascontiguousarray(values))
            else:
                writer.add_tensor(name, gguf.quants.quantize(np.ascontiguousarray(values), kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _add_shape(writer: Any, config: Mapping[str, Any], weights: WeightFormat) -> None:
    import gguf

    file_type = "ALL_F32" if weights.name == "f32" else f"MOSTLY_{weights.name.upper()}"
    shape = decoder_shape(config)
    writer.add_file_type(gguf.LlamaFileType[file_type])
    if weights.block > 1:
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_width)
    writer.add_value_length(shape.head_width)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.rms_epsilon)
    writer.add_vocab_size(shape.vocab)


def _add_tokenizer(writer: Any, tokenizer: GgufTokenizer) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(tokenizer.pre)
    writer.add_token_list(tokenizer.tokens)
    writer.add_token_types(tokenizer.types)
    writer.add_token_merges(tokenizer.merges)
    # The renderer alone decides which special ids there are.
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    for name, add in ((BEGIN, writer.add_bos_token_id), (END, writer.add_eos_token_id), (PAD, writer.add_pad_token_id)):
        index = tokenizer.id_of(name)
        if index is not None:
            add(index)
