"""Safety: a monitor that trusts no other agent, and can bring the ego to a stop without any of them."""
