"""ONNX: one ``model.onnx`` for ONNX Runtime, ONNX Runtime GenAI and ONNX Runtime Web, written without torch."""
