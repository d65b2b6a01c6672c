"""The example model, made from a folder of history: features, a tiny network, an ONNX file and its report."""
