"""Prompts that are one text, made of a row's columns."""

from __future__ import annotations

from check import stop


class Model:
    def prompt_ids(self, given):
        """Ids of a prompt: of a row's columns, or of a text where there is one column alone."""
        prompt = self.hone["prompt"]
        columns = {part["column"] for part in prompt["text"] if isinstance(part, dict)}
        row = dict.fromkeys(columns, given) if isinstance(given, str) and len(columns) == 1 else given
        if not isinstance(row, dict) or columns - set(row):
            stop(f"the prompt needs the columns {', '.join(sorted(columns))}, as a JSON object", 2)
        text = "".join(part if isinstance(part, str) else str(row[part["column"]]) for part in prompt["text"])
        ids = [*prompt["before"], *self.encode(text), *prompt["after"]]
        if len(ids) > prompt["most"]:
            stop(f"the prompt is {len(ids)} tokens long; the model takes {prompt['most']}", 2)
        return ids
