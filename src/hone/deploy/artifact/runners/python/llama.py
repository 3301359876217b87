"""A model in llama.cpp, by the server that the wheel xllamacpp carries."""

from __future__ import annotations

import json
import urllib.request

from check import HERE


class Model:
    def serve(self, **more):
        """Open model.gguf in llama.cpp."""
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path, params.n_ctx, params.n_parallel = str(HERE / "model.gguf"), self.hone["context"], 1
        params.verbosity, params.fit_params, params.ui = -1, False, False
        for name, value in more.items():
            setattr(params, name, value)
        self.server = xllamacpp.Server(params)

    def ask(self, path, **asked):
        """What llama.cpp's server, on a port of this machine, answers."""
        address, kind = f"{self.server.listening_address}/{path}", {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(address, json.dumps(asked).encode(), kind)) as answer:
            return json.loads(answer.read())
