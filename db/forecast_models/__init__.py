"""The registered ONNX models and how they do."""
