"""Transforms: changes of text, made before anything is measured. Named in :mod:`hone.data.transforms.registry`."""
