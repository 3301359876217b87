"""Models: presets from scratch, opening a base, model folders, estimates.

Modelling code is Transformers'; what a file here adds is the exact count, the refusal with a reason, and the
folder that carries its own proof (:mod:`hone.model.folder`).
"""
