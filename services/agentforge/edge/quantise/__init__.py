"""Smaller weights in an exported graph: 8 and 4 bits for onnxruntime's CPU, int8 pairs for TensorRT 8.5."""
