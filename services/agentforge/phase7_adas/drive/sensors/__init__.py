"""Sensors of the generated world: what each would say of one instant, with its noise, gaps, latency and faults."""
