"""Write a model folder as ``model.onnx`` and what its runtimes want beside it; no torch.

The graph is built operator by operator from ``config.json`` and the tensors (:mod:`hone.deploy.onnx.decoder`,
:mod:`hone.deploy.onnx.encoder`). The renderer, the labels, eight rendered examples and hashes travel in the file's
metadata under ``hone.*``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hone.deploy.decoders import ARCHITECTURES as DECODERS
from hone.deploy.decoders import decoder_problems, decoder_shape, tensor_problems
from hone.deploy.encoders import ARCHITECTURES as ENCODERS
from hone.deploy.encoders import encoder_problems, encoder_shape, with_vectors
from hone.deploy.hone_keys import hone_keys, prepared_keys, soft_prompt_in
from hone.deploy.onnx.decoder import add_decoder, attention_problems
from hone.deploy.onnx.encoder import add_encoder
from hone.deploy.onnx.genai import genai_files
from hone.deploy.onnx.graph import Graph
from hone.deploy.onnx.kinds import CODED_AS, matrix_kinds, stored_kinds
from hone.deploy.onnx.matrices import ACCURACY_LEVEL, Matrices
from hone.deploy.onnx.opening import MODEL_FILE
from hone.deploy.onnx.preparing import preparation_problems
from hone.deploy.tensors import Tensors
from hone.deploy.weights import Prepared, WeightFormat, formats_of, row_problems, stored_bytes, weight_format
from hone.errors import FailedError, InputError
from hone.files import atomic_write, read_json

LARGEST_BYTES = 2_000_000_000
"""Of one file: a message of protocol buffers ends at 2 GiB."""
TOKENIZER_FILE = "tokenizer.json"


def export(folder: Path, weights: str, out: Path, prepared: Prepared | None = None) -> Path:
    """Write the model in ``folder`` into the folder ``out``, with matrices in format ``weights``.

    Returns:
        ``out/model.onnx``. The tokenizer lies beside it, for decoders also what ONNX Runtime GenAI reads. All of these
        appear, or none.

    Raises:
        InputError: when this model cannot be stored so, with all reasons.
        FailedError: when the disk refuses or the weights are damaged.
    """
    chosen, prepared = weight_format(weights), prepared or Prepared()
    config, tensors = read_json(folder / "config.json"), Tensors(folder)
    if problems := refusals(config, tensors.shapes, chosen.name, folder, prepared):
        raise InputError(f"{folder}: {problem}" for problem in problems)
    used = _used(config, tensors.shapes)
    kinds = stored_kinds(used, chosen.name, prepared)
    graph = Graph()
    matrices = Matrices(graph, tensors, kinds, prepared)
    files = {TOKENIZER_FILE: (folder / TOKENIZER_FILE).read_bytes()}
    if _is_encoder(config):
        encoder = with_vectors(encoder_shape(config, tensors.shapes), folder)
        outputs = {"none": 0, "words": encoder.vocab}
        labels = outputs.get(encoder.head) or tensors.shapes.get("classifier.weight", (0,))[0]
        add_encoder(graph, encoder, matrices, labels)
    else:
        shape = decoder_shape(config)
        add_decoder(graph, shape, matrices, soft_prompt_in(folder, shape.vocab))
        files |= {name: text.encode("utf-8") for name, text in genai_files(folder, config, shape).items()}
    metadata = {
        "general.architecture": str(config["model_type"]),
        f"{config['model_type']}.context_length": str(config["max_position_embeddings"]),
        **hone_keys(folder, chosen.name),
        **prepared_keys(matrix_kinds(used, chosen.name), kinds, prepared),
        "hone.vocab_size": str(config["vocab_size"]),
        "hone.compute": how_computed(kinds),
    }
    files[MODEL_FILE] = graph.model(metadata).SerializeToString()
    _write_all(out, files)
    return out / MODEL_FILE


def refusals(
    config: Mapping[str, Any],
    shapes: Mapping[str, Sequence[int]],
    weights: str,
    folder: Path | None = None,
    prepared: Prepared | None = None,
) -> list[str]:
    """See :meth:`hone.deploy.runtime.Runtime.refusals`; with ``prepared`` also what of it cannot be honoured."""
    chosen = weight_format(weights)
    if chosen.runtime != "onnx":
        return [f"{chosen.name} is a format of {chosen.runtime}; ONNX has {', '.join(map(_name, formats_of('onnx')))}"]
    problems = encoder_problems(config, "ONNX") if _is_encoder(config) else _decoder_problems(config)
    if problems:
        return problems
    used = _used(config, shapes)
    idle = encoder_shape(config, shapes).idle(shapes) if _is_encoder(config) else set()
    problems = tensor_problems(shapes.keys() - idle, _names(config, shapes))
    unfit = preparation_problems(prepared, used) if prepared else []
    # Rows are judged by the kinds that they would have, so only where these are sound.
    problems += unfit or row_problems(used, chosen, prepared)
    largest = 0 if unfit else stored_bytes(used, chosen, prepared)
    if largest > LARGEST_BYTES:
        problems.append(f"{largest / 1e9:.1f} GB of weights; one ONNX file holds {LARGEST_BYTES / 1e9:.0f} GB")
    if folder is not None and not (folder / TOKENIZER_FILE).is_file():
        problems.append(f"no {TOKENIZER_FILE}; it lies beside an ONNX model")
    return problems


def _is_encoder(config: Mapping[str, Any]) -> bool:
    return config.get("model_type") in ENCODERS


def _decoder_problems(config: Mapping[str, Any]) -> list[str]:
    kind = config.get("model_type")
    if kind not in DECODERS:
        return [f'model_type "{kind}" is not exported to ONNX; these are: {", ".join([*DECODERS, *ENCODERS])}']
    return [*decoder_problems(config, "ONNX"), *attention_problems(decoder_shape(config))]


def _name(chosen: WeightFormat) -> str:
    return chosen.name


def how_computed(kinds: Mapping[str, str]) -> str:
    """One sentence on what is computed in how many bits."""
    there = set(kinds.values())
    said = ["fp32 activations"]
    if "fp16" in there:
        said.append("fp16 matrices are widened to fp32 when a session is made")
    if there & CODED_AS.keys():
        said.append(f"int8 and int4 products at accuracy level {ACCURACY_LEVEL} (inputs in 8 bits by blocks)")
    return "; ".join(said)


def _names(config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """Tensors that the graph reads: a folder may carry a tied copy, or a pooler that no head reads."""
    return (encoder_shape(config, shapes) if _is_encoder(config) else decoder_shape(config)).tensors()


def _used(config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> dict[str, Sequence[int]]:
    return {name: shapes[name] for name in _names(config, shapes) if name in shapes}


def _write_all(out: Path, files: Mapping[str, bytes]) -> None:
    """Write all files or leave none of them that was not there before."""
    with _gone_on_failure(out, [name for name in files if not (out / name).exists()]):
        for name, data in files.items():
            atomic_write(out / name, data)


@contextlib.contextmanager
def _gone_on_failure(out: Path, new: Sequence[str]) -> Iterator[None]:
    was_there = out.exists()
    try:
        yield
    except (OSError, FailedError) as error:
        with contextlib.suppress(OSError):
            for name in new:
                (out / name).unlink(missing_ok=True)
            if not was_there:
                out.rmdir()
        if isinstance(error, FailedError):
            raise
        raise FailedError(f"could not write {out}: {error}") from error
