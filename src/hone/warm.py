"""What the warm process imports before it is forked: nothing here runs a tensor operation."""

from __future__ import annotations

import gc

import lightning_fabric  # noqa: F401
import torch  # noqa: F401
import transformers.cache_utils
import transformers.models.llama.modeling_llama
import transformers.models.qwen3.modeling_qwen3  # noqa: F401
from transformers.utils.logging import disable_progress_bar

# Bars of files that take milliseconds would tear the table of attempts.
disable_progress_bar()

# What was imported stays: a fork's collector need not walk it, nor copy its pages by doing so.
gc.freeze()
