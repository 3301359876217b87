"""Training: one engine, objectives, batches, exact state, guards.

The face is :func:`hone.train.engine.fit`. Files by idea: ``batches`` and ``source`` (what a step sees), ``plans`` and
``packing`` (an epoch in arrays), ``objectives``, ``muon`` and ``optimizers``, ``layers`` (what is frozen, rates by
layer), ``schedules``, ``averaging``, ``stepping`` (one optimizer step), ``state`` and ``checkpoints`` (what survives a
kill), ``guards`` (what stops a bad run), ``launch`` (several processes), ``rates`` and ``finders`` (where to start).
"""
