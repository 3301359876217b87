"""Carrying out one recipe: data, tokenizer, model, training, scoring. The only room that wires training.

Everything here runs in one process that may import torch; :mod:`hone.solving` and the command line call
:func:`work` in a worker, the Python face calls :func:`carry_out` directly.
"""

from __future__ import annotations

from hone.attempts.bench import Bench, build_model, prepare_bench
from hone.attempts.calibrate import calibrate, tokens_per_step
from hone.attempts.carrying import carry_out, work
from hone.attempts.judging import score_model
from hone.attempts.launching import launch
from hone.attempts.report import AttemptReport
from hone.attempts.untouched import untouched

__all__ = [
    "AttemptReport",
    "Bench",
    "build_model",
    "calibrate",
    "carry_out",
    "launch",
    "prepare_bench",
    "score_model",
    "tokens_per_step",
    "untouched",
    "work",
]
