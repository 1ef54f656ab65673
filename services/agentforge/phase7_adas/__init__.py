"""Phase 7, ADAS: a model is analysed, searched, exported and packed for a small device in a car."""
