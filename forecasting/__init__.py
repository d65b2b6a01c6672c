"""Models as ONNX files: checked, and run in a process of their own that can be ended at any moment."""
