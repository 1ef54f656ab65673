"""World, sensors and pipeline in one loop, and what came out of it."""
