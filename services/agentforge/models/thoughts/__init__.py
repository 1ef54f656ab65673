"""Thoughts before tokens (Quiet-STaR): had at many places of a text at once, mixed into what the model predicts."""
