"""Data: read, checked, cleaned, split, sealed and turned into tokens, with every row accounted for.

The way of a row: ``read`` -> ``checking`` -> ``clean`` -> ``split`` and ``sealed`` (all called by ``prepare``)
-> ``augment`` -> ``tokens``. What leaves on the way is in the ``ledger`` with its reasons.
"""
