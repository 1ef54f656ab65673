"""Agent Forge: small language models, made from nothing in eight measured phases."""
