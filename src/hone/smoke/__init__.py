"""The whole way on a shrunken model of the task in hand, in seconds: see :mod:`hone.smoke.whole_way`."""
