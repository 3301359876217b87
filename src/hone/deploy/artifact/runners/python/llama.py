"""A decoder in llama.cpp, by the server that the wheel xllamacpp carries."""

from __future__ import annotations

import json
import urllib.request

from check import HERE


class Model:
    def load(self):
        """Open model.gguf in llama.cpp."""
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path, params.n_ctx, params.n_parallel = str(HERE / "model.gguf"), self.hone["context"], 1
        params.verbosity, params.fit_params, params.ui = -1, False, False
        self.server = xllamacpp.Server(params)

    def ask(self, ids, **more):
        """What llama.cpp's server, on a port of this machine, answers to ids."""
        body = json.dumps({"prompt": ids, "temperature": 0, "cache_prompt": False, **more}).encode()
        address, kind = f"{self.server.listening_address}/completion", {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(address, body, kind)) as answer:
            return json.loads(answer.read())
