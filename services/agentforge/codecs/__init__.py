"""Weights in few bytes: codecs, entropy coding, and one file for a whole model."""
