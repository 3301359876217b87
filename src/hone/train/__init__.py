"""Training: one engine, objectives, batches, exact state, guards.

The face is :func:`hone.train.engine.fit`. Files by idea: ``batches`` and ``source`` (what a step sees), ``plans`` and
``packing`` (an epoch in arrays), ``objectives``, ``muon`` and ``optimizers``, ``layers`` (what is frozen, rates by
layer), ``schedules``, ``averaging``, ``stepping`` (one optimizer step), ``state`` and ``checkpoints`` (what survives a
kill), ``watching`` and ``overseeing`` (what looks at a run and may rewind it), ``guards`` (what stops a bad run),
``launch`` and ``sharding`` (several processes), ``compiling``, ``measuring``, ``rates`` and ``finders`` (where to
start).
"""
