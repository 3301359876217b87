"""Guards: what is wrong with the rows before the start, and what is said or done about a run that goes wrong.

Files by idea: ``rows`` (before the start), ``first_loss`` (at step 1), ``by_heart`` (can it learn at all),
``non_finite`` (the first value that is no number), and the watchers of a running loop: ``spikes``, ``flow`` (layers
through which nothing flows), ``rates`` (a learning rate that its own curve refutes). ``standard`` has them together;
it is imported by its own name, because watchers know of batches and batches are checked by ``rows``.
"""

from __future__ import annotations

from hone.train.guards.by_heart import Overfit, overfit_one_batch
from hone.train.guards.first_loss import choices, first_loss_line
from hone.train.guards.non_finite import reproduce, stop_non_finite
from hone.train.guards.rows import check_examples

__all__ = [
    "Overfit",
    "check_examples",
    "choices",
    "first_loss_line",
    "overfit_one_batch",
    "reproduce",
    "stop_non_finite",
]
