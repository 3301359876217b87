"""What the warm process imports before it is forked: nothing here runs a tensor operation."""

from __future__ import annotations

import lightning_fabric  # noqa: F401
import torch  # noqa: F401
import transformers.cache_utils
import transformers.models.llama.modeling_llama  # noqa: F401
