"""Phase 3, Quiet-STaR: a model that thinks before tokens, in parallel at many places of a text at once."""
