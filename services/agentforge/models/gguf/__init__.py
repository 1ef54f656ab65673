"""GGUF files of Llama-shaped models, written by gguf-py, checked against llama.cpp itself. Free of torch."""
