"""What a model costs, counted on its exported graph, and what that means on a device: an estimate by rooflines."""
