"""Phase 4, BitNet: weights of -1, 0 and 1, calibrated, and trained as such while their latents stay whole."""
