"""The lab: runs on disk, their index, artifacts with lineage, readings of the test split, and mirrors."""

from __future__ import annotations
