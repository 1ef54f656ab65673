"""Phase 2, EvoMerge: three models become one, by merging and by evolution over merges."""
