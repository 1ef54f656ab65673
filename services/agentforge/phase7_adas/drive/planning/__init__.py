"""Planning: a lattice of manoeuvres beside the road's line, and the best of those that are safe and in limits."""
