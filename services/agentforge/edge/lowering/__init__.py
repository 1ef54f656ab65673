"""A graph at opset 18, as torch writes it, becomes one that TensorRT 8.5 reads."""

from agentforge.edge.lowering.lower import lower, notes

__all__ = ["lower", "notes"]
