"""Finders: a learning rate and a batch, by trying on a copy of the model that is thrown away.

Neither changes the model, its gradients or any random generator of the process.
"""

from __future__ import annotations

from hone.train.finders.batch import BatchTrial, FoundBatch, find_batch
from hone.train.finders.rate import FoundRate, RatePoint, find_rate

__all__ = ["BatchTrial", "FoundBatch", "FoundRate", "RatePoint", "find_batch", "find_rate"]
