"""A small package with a phase and experiments. Tests copy it to where it may be written."""
