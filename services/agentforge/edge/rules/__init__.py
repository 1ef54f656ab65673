"""The static check of an ONNX file against what TensorRT 8.5 takes: a table, rules, and ways out."""

from agentforge.edge.rules.check import check_tensorrt, require_tensorrt
from agentforge.edge.rules.finding import RESULT, Finding
from agentforge.edge.rules.io_rules import Profile

__all__ = ["RESULT", "Finding", "Profile", "check_tensorrt", "require_tensorrt"]
