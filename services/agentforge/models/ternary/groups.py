"""Whether groups fit a layer: told the same from a model and, without torch, from its files."""

from __future__ import annotations

from agentforge.kit.errors import Violation


def misfit(name: str, width: int, group: int) -> Violation | None:
    if not group or width % group == 0:
        return None
    message = f"{name} has {width} inputs, which groups of {group} do not divide"
    fitting = ", ".join(str(size) for size in range(2, width + 1) if width % size == 0)
    return Violation(
        name, message, "GROUP_MISFIT", f"Its width is divided by {fitting}; or take a scale by channel."
    )
