"""The B-cycle: a persona of measured traits, and how each is measured. Free of torch."""
