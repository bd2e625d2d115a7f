"""Run ONNX models over images too large to load."""
