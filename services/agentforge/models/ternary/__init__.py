"""BitNet b1.58 as a mode of a model: ternary weights made from full-precision latents, trained and packed."""
