"""The search for a smaller and faster model of a model: slimmed, healed, and measured for real."""
