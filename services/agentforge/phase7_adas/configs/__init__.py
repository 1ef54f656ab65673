"""What the parts of the phase take, each beside none of the others. Free of torch."""
