"""Training: one engine, objectives, batches, exact state, guards.

The face is :func:`hone.train.engine.fit`. Files by idea: ``batches`` and ``source`` (what a step sees),
``packing``, ``objectives``, ``muon`` and ``optimizers``, ``schedules``, ``averaging``, ``stepping`` (one
optimizer step), ``state`` and ``checkpoints`` (what survives a kill), ``guards`` (what stops a bad run),
``launch`` (several processes).
"""
