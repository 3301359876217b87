"""Tasks for a Lightning ``Trainer``: a module and a data module for any task folder and recipe (extra: lightning).

::

    import pytorch_lightning as pl
    from hone.lightning import TaskData, TaskModule

    module = TaskModule("voice", {"steps": 400})
    trainer = pl.Trainer(**module.trainer_settings(), callbacks=[pl.callbacks.ModelCheckpoint(monitor="dev_loss")])
    trainer.fit(module, TaskData(module.parts))
    module.save("voice/by-lightning")

The loss, its normalisation over the tokens of the whole step, optimizers, schedule, clipping and the order of the data
are the recipe's, on any number of processes and micro-batches. The Trainer decides the rest: precision, devices, what
to keep, and when to judge dev, which ``trainer_settings()`` asks for as often as the recipe does. Its checkpoints are
pickles of Lightning's own, and law 1 (exact resume) is the engine's.

The names of what is logged are those of the trackers: ``loss``, ``learning_rate``, ``grad_norm``,
``tokens_per_second``, ``dev_loss`` and ``dev_METRIC``.
"""

from __future__ import annotations

try:
    import pytorch_lightning  # noqa: F401
except ImportError as error:
    raise ImportError('hone.lightning needs pytorch-lightning: pip install "hone-lm[lightning]"') from error

from hone.lightning.data import TaskData
from hone.lightning.module import TaskModule

__all__ = ["TaskData", "TaskModule"]
