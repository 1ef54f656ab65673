"""A model as a function of new tokens and explicit state, and its ONNX file."""
