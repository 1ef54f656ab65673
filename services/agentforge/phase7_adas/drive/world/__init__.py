"""The generated world: the ego's physics, other road users, collisions and who caused them."""
