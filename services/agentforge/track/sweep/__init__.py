"""Sweeps: the fields of a phase's config searched for the best value of something that it measures."""
