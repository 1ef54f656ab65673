"""Fewer tokens: which are kept, the tokenizer and the model that have only these, and codes for stored ids."""
