"""Python that a model wrote, run in a process that can compute and print, and nothing else. Linux only."""

from agentforge.tools.sandbox.launch import protection, run_python
from agentforge.tools.sandbox.limits import Failure, Limits, Outcome

__all__ = ["Failure", "Limits", "Outcome", "protection", "run_python"]
