"""Runs on the device: Python 3.8, numpy, onnxruntime, nothing of this repository but what is packed with it."""
