"""The nine agents: each one file, plain functions under them."""
