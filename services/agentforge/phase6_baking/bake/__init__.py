"""Prompt baking: a model without a prompt learns to be the model with it."""
