"""Tests of training: one thread, and the folder importable, so that processes that tests start find the same work."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)
