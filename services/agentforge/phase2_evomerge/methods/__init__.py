"""The table of merge methods. A new one is a class as in `base.MergeMethod` and one line here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from agentforge.kit.errors import InvalidInput
from agentforge.phase2_evomerge.methods.base import MergeMethod
from agentforge.phase2_evomerge.methods.dare import Dare
from agentforge.phase2_evomerge.methods.linear import Linear
from agentforge.phase2_evomerge.methods.slerp import Slerp
from agentforge.phase2_evomerge.methods.task_arithmetic import TaskArithmetic
from agentforge.phase2_evomerge.methods.ties import Ties

_TABLE: tuple[MergeMethod, ...] = (
    #                 parents  base
    Linear(),  #          1…
    Slerp(),  #          2, 3
    Ties(),  #            1…   yes
    Dare(),  #            1…   yes
    TaskArithmetic(),  #  1…   yes
)

METHODS: Mapping[str, MergeMethod] = {each.name: each for each in _TABLE}


def method(name: str) -> MergeMethod:
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        step = f"Did you mean {near[0]!r}?" if near else f"Known methods: {', '.join(METHODS)}."
        raise InvalidInput(
            f"there is no merge method {name!r}", reason="UNKNOWN_METHOD", field=name, next_step=step
        )
    return METHODS[name]
