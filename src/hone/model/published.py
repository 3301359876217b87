"""Devices that others measured: published rows of named classes, and the fits that follow from them.

The rows are of models of 0.2 to 6 GB, of other runtimes (ExecuTorch, LiteRT, MLX, llama.cpp), and of peak rates on a
cool device. What carries over is the bandwidth; the cost of a call does not show in such rows, so that of small models
is the reference's, and the error widens with each doubling between the published models and the one that is planned.
"""

from __future__ import annotations

from dataclasses import dataclass

from hone.errors import InputError, nearest
from hone.model.machine_fit import ANY, Constants, MachineFit, Measurement, fit
from hone.task.spec import DEVICE_CLASSES, THIS_MACHINE

MIB = 1.048576
"""Megabytes (10^6 bytes) in 2^20 bytes."""
PUBLISHED_PROMPT = 64
"""Tokens that a published prompt rate is applied to."""
SUSTAINED = 1.77
"""Sustained over peak time per token of phones: 40 to 22.6 tokens a second on an iPhone 16 Pro by the eighth run of 250
tokens (TinyBench). 37 to 19 were seen on a Galaxy S25 Ultra after three minutes (1.95)."""
PUBLISHED_ERROR = {"size_mb": 0.02, "ram_mb": 0.30, "first_token_ms": 0.30, "ms_per_token": 0.20}
"""Least error of what is carried over from another runtime; the rows' own spread can only widen it."""
REFERENCE: Constants = {
    "ram_mb": {
        "process": 40.0,
        "session": 4.0,
        f"hold {ANY}": 1.0,
        "cache": 1.0,
        "activations": 1.0,
        "vocabulary": 0.5,
    },
    "first_token_ms": {"prompt": 0.5, "layers": 0.05, f"multiply {ANY}": 5.0},
    "ms_per_token": {
        "token": 0.2,
        "layers": 0.02,
        "read": 0.018,
        f"unpack {ANY}": 0.001,
        f"rows {ANY}": 0.0,
        "cache": 0.02,
    },
}
"""A phone's processor before anything is known of it: 55 GB/s, 200 GFLOP/s."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One published line; a figure that was not published is None."""

    model: str
    weights_mb: float
    """Size of the file: what a token reads."""
    tokens_per_s: float
    layers: int
    parameters: float
    """Weights that multiply a token, for the arithmetic of a prompt."""
    prompt_tokens_per_s: float | None = None
    memory_mb: float | None = None

    def measurement(self) -> Measurement:
        """As a fit takes it."""
        tokens = PUBLISHED_PROMPT
        gflop = 2e-9 * self.parameters * tokens
        features = {
            "size_mb": {"weights": self.weights_mb},
            "ms_per_token": {
                "token": 1.0,
                "layers": float(self.layers),
                "read": self.weights_mb,
                f"unpack {ANY}": self.parameters / 1e6,
            },
            "first_token_ms": {"prompt": 1.0, "layers": float(self.layers), f"multiply {ANY}": gflop},
            # What a published process held beside its weights grew with the model, so it is counted per megabyte.
            "ram_mb": {f"hold {ANY}": self.weights_mb},
        }
        measured = {"ms_per_token": 1e3 / self.tokens_per_s}
        if self.prompt_tokens_per_s is not None:
            measured["first_token_ms"] = 1e3 * tokens / self.prompt_tokens_per_s
        if self.memory_mb is not None:
            measured["ram_mb"] = self.memory_mb
        return Measurement(name=self.model, features=features, measured=measured)


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A class of devices and what was published of it."""

    threads: int
    """0: not threads of a processor but the GPU."""
    source: str
    rows: tuple[Row, ...]
    slowdown: float = SUSTAINED


_ONE_B, _THREE_B = 1.24e9, 3.21e9
_ONEPLUS = (
    ("Llama-3.2-1B BF16", 2358, 19.2, 16, _ONE_B, 60.3, 3185),
    ("Llama-3.2-1B SpinQuant", 1083, 50.2, 16, _ONE_B, 260.5, 1921),
    ("Llama-3.2-1B QAT+LoRA", 1127, 45.8, 16, _ONE_B, 252.0, 2255),
    ("Llama-3.2-3B BF16", 6129, 7.6, 28, _THREE_B, 21.2, 7419),
    ("Llama-3.2-3B SpinQuant", 2435, 19.7, 28, _THREE_B, 89.7, 3726),
    ("Llama-3.2-3B QAT+LoRA", 2529, 18.5, 28, _THREE_B, 88.8, 4060),
)
_GALAXY = (
    ("Qwen2.5-0.5B fp32", 1898, 16.7, 24, 0.49e9, 90.3, 4503),
    ("Qwen2.5-0.5B int8", 521, 29.97, 24, 0.49e9, 250.7, 1363),
    ("Qwen2.5-1.5B int8", 1550, 16.4, 28, 1.54e9, 113.7, 3593),
    ("Qwen2.5-1.5B int8, later build", 1523, 23.0, 28, 1.54e9, 106.0, 1820),
    ("DeepSeek-R1-Distill-1.5B int8", 1861, 23.0, 28, 1.54e9, 261.0, 1936),
    ("Gemma3-1B q4", 557, 43.6, 26, 1.0e9, 243.0, None),
)


def _rows(
    listed: tuple[tuple[str, float, float, int, float, float | None, float | None], ...], unit_mb: float = 1.0
) -> tuple[Row, ...]:
    """Rows of a table whose megabytes are ``unit_mb`` times 10^6 bytes."""
    return tuple(
        Row(
            model=model,
            weights_mb=size * unit_mb,
            tokens_per_s=rate,
            layers=layers,
            parameters=parameters,
            prompt_tokens_per_s=prompt,
            memory_mb=None if memory is None else memory * unit_mb,
        )
        for model, size, rate, layers, parameters, prompt, memory in listed
    )


PUBLISHED: dict[str, Published] = {
    "oneplus-12": Published(
        threads=4,
        source="ExecuTorch's Llama 3.2 tables, OnePlus 12, prompt 64, KleidiAI",
        rows=_rows(_ONEPLUS, MIB),
    ),
    "galaxy-s24-ultra": Published(
        threads=4,
        source="LiteRT model cards, Galaxy S24 Ultra, CPU, 4 threads, 1,280 tokens of cache",
        rows=_rows(_GALAXY),
    ),
    "phone": Published(
        threads=4,
        source="OnePlus 12 (ExecuTorch) and Galaxy S24 Ultra (LiteRT), together",
        rows=(*_rows(_ONEPLUS, MIB), *_rows(_GALAXY)),
    ),
    "iphone-17-pro": Published(
        threads=0,
        source="MLX 4-bit on the GPU, one published row",
        rows=_rows((("LFM2.5-1.2B 4 bit", 663, 70.0, 16, 1.17e9, None, None),)),
    ),
    "apple-silicon": Published(
        threads=4,
        source="llama.cpp pull request 11390, Apple-silicon CPU, 4 threads, one published row",
        rows=_rows((("Llama-3.2-1B Q4_0", 728, 157.6, 16, _ONE_B, None, None),), MIB),
        slowdown=1.0,
    ),
    "pi-zero-2w": Published(
        threads=4,
        source="llama.cpp on a Raspberry Pi Zero 2 W of 512 MB, one published row",
        rows=_rows((("SmolLM-360M Q4_K_M", 210, 2.6, 32, 0.36e9, None, None),)),
        slowdown=1.0,
    ),
}
"""By the class's name: ``class`` of a task's ``device``, or ``hone plan --class NAME``."""


def unknown_class(name: str) -> str:
    """The sentence on a class of which nothing is known, with the nearest one."""
    return (
        f'device class "{name}" is not known; {nearest(name, DEVICE_CLASSES)} (figures are published of '
        f"{', '.join(PUBLISHED)}; {THIS_MACHINE} is measured)"
    )


def published_fit(name: str, runtime: str, size_constants: Constants) -> MachineFit:
    """The fit of a named class, for a runtime whose files are as large there as here.

    Args:
        name: of the class.
        runtime: whose artifact is planned; the class's figures are of the runtimes that its source names.
        size_constants: a reference's or a fit's, for ``size_mb``.

    Raises:
        InputError: for an unknown class, with the nearest one.
    """
    if name not in PUBLISHED:
        raise InputError(unknown_class(name))
    found = PUBLISHED[name]
    measurements = [row.measurement() for row in found.rows]
    known = {figure for one in measurements for figure in one.measured} | {"size_mb"}
    reference = {**REFERENCE, "size_mb": size_constants["size_mb"]}
    return fit(
        measurements,
        {figure: own for figure, own in reference.items() if figure in known},
        name=name,
        runtime=runtime,
        threads=found.threads,
        # One row has no spread of its own: as much as two phones differ.
        least_errors=PUBLISHED_ERROR if len(found.rows) > 1 else {**PUBLISHED_ERROR, "ms_per_token": 0.5},
        source=found.source,
        slowdown=found.slowdown,
    )
