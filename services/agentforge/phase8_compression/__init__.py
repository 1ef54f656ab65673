"""Phase 8: the smallest model that still answers right, in every format."""
