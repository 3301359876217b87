"""What a device of another class than this machine is planned to take for a model that was measured here.

Memory and times of this machine say nothing about limits that are for a phone. What is known of those is what
``hone plan --class`` knows: figures that others published, with their error.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hone.deploy.decoders import DecoderShape, decoder_shape
from hone.deploy.encoders import ARCHITECTURES as ENCODERS
from hone.deploy.encoders import encoder_shape
from hone.deploy.measure import EVERYWHERE
from hone.deploy.planning import fits_of_class, storage_of
from hone.deploy.tensors import Tensors
from hone.deploy.weights import weight_format
from hone.files import read_json
from hone.model.footprint import Blueprint
from hone.model.machine_fit import MOST_ERROR
from hone.model.plan import NAMES, UNITS, Planner, limits_of
from hone.task.spec import THIS_MACHINE, Device


def blueprint_of_folder(model: Path, context: int) -> Blueprint:
    """The blueprint of a model folder that runtimes take, by its ``config.json`` and the headers of its weights.

    Args:
        model: the folder.
        context: of the device; the model's own is the most.
    """
    config, shapes = read_json(model / "config.json"), Tensors(model).shapes
    shape = encoder_shape(config, shapes) if config.get("model_type") in ENCODERS else decoder_shape(config)
    writes = isinstance(shape, DecoderShape)
    return Blueprint(
        tensors={name: shapes[name] for name in shape.tensors()},
        layers=shape.layers,
        hidden=shape.hidden,
        ffn=shape.ffn,
        heads=shape.heads,
        kv_heads=shape.kv_heads if isinstance(shape, DecoderShape) else shape.heads,
        head_size=shape.head_width if isinstance(shape, DecoderShape) else shape.hidden // shape.heads,
        vocab=shape.vocab,
        context=min(context, shape.context),
        tied=shape.tied if isinstance(shape, DecoderShape) else shape.head == "words",
        writes=writes,
    )


def planned_elsewhere(model: Path, weights: str, device: Device) -> dict[str, Any] | None:
    """What the device's class is planned to take for a model in a weight format; None where it is this machine.

    Args:
        model: the model folder.
        weights: name of the format.
        device: names the class and its limits.

    Returns:
        ``class``, ``source`` (who published), ``figures``: each but the size, which is as large anywhere, with
        ``value``, ``error``, ``error_known``, ``low``, ``high``, ``limit`` and ``holds`` (by its value; None without a
        limit); ``not_known``: limited figures of which nothing was published.
    """
    if device.device_class == THIS_MACHINE:
        return None
    storage, limits = storage_of(weight_format(weights)), limits_of(device)
    fits = fits_of_class(device.device_class)
    found = Planner(device, (storage,), fits).candidate(
        storage.name, blueprint_of_folder(model, device.context), storage
    )
    figures = {
        name: {
            **one.to_json(),
            "limit": limits.get(name),
            "holds": one.value <= limits[name] if name in limits else None,
        }
        for name, one in found.estimates.items()
        if name not in EVERYWHERE
    }
    return {
        "class": device.device_class,
        "source": fits[storage.runtime].source,
        "figures": figures,
        "not_known": list(found.not_known),
    }


def planned_line(planned: Mapping[str, Any]) -> str:
    """What :func:`planned_elsewhere` gave, in a line for people."""
    told = [_told(name, one) for name, one in planned["figures"].items() if one["limit"] is not None]
    told += [f"{NAMES[name]} not known" for name in planned["not_known"]]
    if not told:
        return ""
    return (
        f"planned for {planned['class']}, from published figures: {', '.join(told)}; "
        "only a measurement on such a device can tell"
    )


def _told(name: str, one: Mapping[str, Any]) -> str:
    error = f"±{one['error']:.0%}" if one["error_known"] else f"error not known beyond {MOST_ERROR:.0%}"
    over = "" if one["holds"] else ", over by that"
    return f"{NAMES[name]} {one['value']:.3g} of {one['limit']:g} {UNITS[name]} ({error}{over})"
