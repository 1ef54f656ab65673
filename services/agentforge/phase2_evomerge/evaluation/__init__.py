"""How good a candidate is: held-out questions, one forward pass, and fitness relative to the parents."""
