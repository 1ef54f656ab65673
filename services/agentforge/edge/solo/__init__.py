"""One file for a CPU, agent.pyz: a compressed model with all that it takes to ask it."""
