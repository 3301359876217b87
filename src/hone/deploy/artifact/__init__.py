"""Artifacts as folders: what an application needs, made whole or not at all, and opened only when it is unchanged."""
