"""Signals: measurements of rows, as columns. The table that names them is :mod:`hone.data.signals.registry`."""
