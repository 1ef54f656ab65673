"""What is wrong with one node or the whole file, by which rule, and the way out."""

from __future__ import annotations

from dataclasses import dataclass

from agentforge.kit.errors import Violation

RESULT = "static check against the 8.5 table"  # what a clean answer may be called, and no more than that


@dataclass(frozen=True, slots=True)
class Finding:
    node: str  # the node's name or, where the node has none, its first output; "" is the whole file
    op: str
    rule: str
    message: str
    next_step: str
    module: str = ""  # where in the model, as far as the exporter told

    def violation(self) -> Violation:
        where = f"{self.op} {self.node!r}: " if self.op else ""
        inside = f" (in module {self.module})" if self.module else ""
        reason = self.rule.upper().replace("-", "_")
        return Violation(self.node or "model", f"{where}{self.message}{inside}", reason, self.next_step)
