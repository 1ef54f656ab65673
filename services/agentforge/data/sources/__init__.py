"""Where documents come from. Each source reads in a fixed order and can go on from a cursor."""
