"""Fakes of what no test machine has: trtexec and TensorRT 8.5.2, and CUDA. They check how they are called."""
