"""A model in ONNX Runtime."""

from __future__ import annotations

import os

from check import HERE


class Model:
    def load(self):
        """Open model.onnx in ONNX Runtime."""
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it begins with the import otherwise
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(HERE / "model.onnx"), options, ["CPUExecutionProvider"])
