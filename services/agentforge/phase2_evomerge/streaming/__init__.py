"""Merging of whole directories, tensor by tensor: memory for the largest tensor, not for the models."""
