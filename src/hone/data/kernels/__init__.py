"""Vectorised scans over the texts of a batch: code points, words, hashes. Numpy alone, no compiled extension.

Legend: C code points of a piece, W words, G n-grams, N texts. Pieces stay small enough for the processor's cache,
which is what makes these scans several times faster than over a whole batch.
"""
