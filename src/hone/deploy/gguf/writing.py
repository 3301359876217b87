"""Write a model folder as a GGUF file: Llama-shaped decoders, Qwen3-shaped ones, and BERT-shaped encoders.

Key and tensor names follow the GGUF specification and llama.cpp's converter. The renderer, the labels, eight rendered
examples and hashes travel in the file under ``hone.*``, so that the artifact alone is enough to serve.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.decoders import ARCHITECTURES, decoder_problems, tensor_problems
from hone.deploy.encoders import ARCHITECTURES as ENCODERS
from hone.deploy.encoders import encoder_problems
from hone.deploy.gguf.blocks import encode, pack_codes
from hone.deploy.gguf.decoder import decoder_layout, rotary_rows
from hone.deploy.gguf.encoder import encoder_layout, head_keys
from hone.deploy.gguf.layout import Layout, Value
from hone.deploy.gguf.mixtures import matrix_kinds, prepared_problems, stored_kinds
from hone.deploy.gguf.tokenizer import gguf_tokenizer
from hone.deploy.gguf.tokens import GgufTokenizer
from hone.deploy.hone_keys import hone_keys, prepared_keys, soft_prompt_in
from hone.deploy.tensors import Tensors
from hone.deploy.weights import Codes, Prepared, WeightFormat, row_problems, weight_format
from hone.errors import FailedError, InputError
from hone.files import PART_PREFIX, read_json

FILE_TYPES = {"f32": "ALL_F32", "q4_k_m": "MOSTLY_Q4_K_M", "q5_k_m": "MOSTLY_Q5_K_M"}
"""Names of ``general.file_type`` that do not follow from the format's own."""


def export(folder: Path, weights: str, out: Path, prepared: Prepared | None = None) -> Path:
    """Write the model in ``folder`` to ``out`` with matrices in format ``weights`` (see :mod:`hone.deploy.weights`).

    The file appears whole or not at all.

    Args:
        folder: a model folder.
        weights: a format of GGUF.
        out: the file.
        prepared: what was decided about matrices before; each entry is honoured or refused.

    Raises:
        InputError: when this model cannot be stored so, with all reasons.
        FailedError: when the disk refuses or the weights are damaged.
    """
    chosen, prepared = weight_format(weights), prepared or Prepared()
    config = read_json(folder / "config.json")
    tensors = Tensors(folder)
    problems = refusals(config, tensors.shapes, weights, folder, prepared)
    if problems:
        raise InputError(f"{folder}: {problem}" for problem in problems)
    layout = layout_of(config, tensors.shapes, folder)
    tokenizer = gguf_tokenizer(folder, int(config["vocab_size"]))
    if soft := soft_prompt_in(folder, int(config["vocab_size"])):
        # llama.cpp's samplers give these -inf, so that its server and whatever builds on them mask without a word.
        tokenizer = replace(tokenizer, flags={**tokenizer.flags, "suppress_tokens": list(soft)})
    usual = matrix_kinds(tensors.shapes, chosen.name)
    how = prepared_keys(usual, stored_kinds(tensors.shapes, chosen.name, prepared), prepared)
    keys = {**hone_keys(folder, chosen.name), **head_keys(config, layout, tensors), **tokenizer.own, **how}
    part = out.with_name(f"{PART_PREFIX}{os.getpid()}-{out.name}")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write(part, layout, tokenizer, chosen, keys, _stored(tensors, layout, chosen, prepared))
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        part.replace(out)
    except OSError as error:
        raise FailedError(f"could not write {out}: {error}; nothing was left under that name") from error
    finally:
        part.unlink(missing_ok=True)
    return out


def refusals(
    config: Mapping[str, Any],
    shapes: Mapping[str, Sequence[int]],
    weights: str,
    folder: Path | None = None,
    prepared: Prepared | None = None,
) -> list[str]:
    """See :meth:`hone.deploy.runtime.Runtime.refusals`; with ``prepared`` also what of it cannot be honoured."""
    encoder = config.get("model_type") in ENCODERS
    problems = encoder_problems(config, "GGUF") if encoder else decoder_problems(config, "GGUF")
    if config.get("model_type") not in (*ARCHITECTURES, *ENCODERS) or (encoder and problems):
        return problems
    layout = layout_of(config, shapes)
    problems += tensor_problems(shapes.keys() - layout.idle, [*layout.names, *layout.beside])
    used = {name: shapes[name] for name in layout.names if name in shapes}
    unfit = prepared_problems(used, prepared) if prepared else []
    # Rows are judged by the kinds that they would have, so only where these are sound.
    problems += unfit or row_problems(used, weight_format(weights), prepared)
    if folder is not None:
        try:
            gguf_tokenizer(folder, int(config["vocab_size"]))
        except InputError as error:
            problems += error.problems
    return problems


def layout_of(config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], folder: Path | None = None) -> Layout:
    """How a model of this configuration lies in the file; ``folder`` is the model folder, where there is one."""
    return encoder_layout(config, shapes, folder) if config["model_type"] in ENCODERS else decoder_layout(config)


def _stored(
    tensors: Tensors, layout: Layout, weights: WeightFormat, prepared: Prepared
) -> Iterator[tuple[str, NDArray[Any], str]]:
    """Name in the file, stored array and kind of each tensor; one is read at a time."""
    kinds = stored_kinds({name: tensors.shapes[name] for name in layout.names}, weights.name, prepared)
    for ours, theirs in layout.names.items():
        heads = layout.rotary.get(theirs.split(".")[-2], 0)
        codes = prepared.codes.get(ours)
        if codes is not None:
            yield theirs, pack_codes(_rotated(codes, heads), kinds[ours]), kinds[ours]
            continue
        values = tensors.read(ours)
        if values.ndim == 1:
            yield theirs, np.ascontiguousarray(values), "f32"
            continue
        try:
            stored = encode(rotary_rows(values, heads) if heads else values, kinds[ours], prepared.importance.get(ours))
        except FailedError as error:
            raise FailedError(f"{ours} {error}") from error
        yield theirs, stored, kinds[ours]


def _rotated(codes: Codes, heads: int) -> Codes:
    if not heads:
        return codes
    rows, scales = rotary_rows(codes.codes, heads), rotary_rows(codes.scales, heads)
    return Codes(codes=rows, scales=scales, bits=codes.bits, block=codes.block)


def _write(
    path: Path,
    layout: Layout,
    tokenizer: GgufTokenizer,
    weights: WeightFormat,
    keys: Mapping[str, str],
    tensors: Iterator[tuple[str, NDArray[Any], str]],
) -> None:
    import gguf

    logging.getLogger("gguf").setLevel(logging.WARNING)
    writer = gguf.GGUFWriter(path, layout.architecture)
    try:
        # Not the configuration's name, which can be a path on the machine of training.
        writer.add_name(keys.get("hone.task", "hone"))
        writer.add_file_type(gguf.LlamaFileType[FILE_TYPES.get(weights.name, f"MOSTLY_{weights.name.upper()}")])
        if weights.block > 1:
            writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        _add(writer, layout.architecture, layout.keys)
        _add(writer, "tokenizer.ggml", {**tokenizer.keys(), **layout.tokenizer_keys})
        _add(writer, "hone", {key.removeprefix("hone."): value for key, value in keys.items()})
        for name, array, kind in tensors:
            writer.add_tensor(name, array, raw_dtype=gguf.GGMLQuantizationType[kind.upper()])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _add(writer: Any, prefix: str, keys: Mapping[str, Value]) -> None:
    """Write keys with the types of :data:`hone.deploy.gguf.layout.Value`."""
    for key, value in keys.items():
        add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
        add.get(type(value), writer.add_array)(f"{prefix}.{key}", value)
