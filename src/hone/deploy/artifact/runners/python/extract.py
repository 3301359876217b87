"""Written answers that are JSON objects."""

from __future__ import annotations

import json


class Model:
    def parse(self, ids):
        """The object that was written; None when it is none."""
        try:
            value = json.loads(self.tokenizer.decode(ids))
        except (ValueError, RecursionError):
            return None
        return self.bare(value) if isinstance(value, dict) else None

    def bare(self, value):
        """A value without the space that each text in it was written with (but in the layout `json`)."""
        if isinstance(value, dict):
            return {key: self.bare(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self.bare(part) for part in value]
        spaced = isinstance(value, str) and self.hone["renderer"]["layout"] != "json"
        return value.removeprefix(" ") if spaced else value
