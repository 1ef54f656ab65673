"""Phase 6: prompts, tools and a persona baked into the weights."""
