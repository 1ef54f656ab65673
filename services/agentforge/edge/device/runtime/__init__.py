"""Runs an exported model on the device: Python 3.8, numpy, and TensorRT or onnxruntime."""
