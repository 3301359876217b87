"""Prompts that are conversations."""

from __future__ import annotations

from check import stop


class Model:
    def prompt_ids(self, given):
        """Ids of a conversation up to the answer: of messages, or of a text that the user says."""
        prompt, roles = self.hone["prompt"], self.hone["ids"]["roles"]
        turns = [{"role": "user", "content": given}] if isinstance(given, str) else given
        if not isinstance(turns, list) or not all(isinstance(one, dict) and one.get("role") in roles for one in turns):
            stop(f"the prompt needs a text, or as JSON turns, each with role ({', '.join(roles)}) and content", 2)
        ids = [*prompt["before"], *self.that_fit(turns, prompt["room"]), *prompt["after"]]
        if len(ids) > prompt["most"]:
            stop(f"the prompt is {len(ids)} tokens long; the model takes {prompt['most']}", 2)
        return ids

    def that_fit(self, turns, room):
        """Ids of turns; where they have a room, without the oldest exchanges that it does not hold."""
        roles, end = self.hone["ids"]["roles"], self.hone["ids"]["end"]
        ids = [one for turn in turns for one in (roles[turn["role"]], *self.encode(" " + turn["content"]), end)]
        rest = [turn for turn in turns if turn["role"] != "system"]
        start = next((at for at in range(1, len(rest)) if rest[at]["role"] == "user"), None)
        if room is None or start is None or len(ids) <= room:
            return ids
        return self.that_fit([*(turn for turn in turns if turn["role"] == "system"), *rest[start:]], room)
