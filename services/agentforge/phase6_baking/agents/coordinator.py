"""BakingCoordinator: what will be done, in which order, and whether this machine has room for it."""

from __future__ import annotations

import shutil

from agentforge.kit.agents.agent import Outcome, Task
from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import ResourceExhausted
from agentforge.phase6_baking.rounds import plan
from agentforge.phase6_baking.start import Start
from agentforge.train.state import own_tensors

_COPIES = 8  # of the weights on disk: checkpoints with their optimiser, what agents hand on, the output


def coordinate(start: Start, task: Task) -> Outcome:
    size = sum(tensor.numel() * tensor.element_size() for tensor in own_tensors(start.model).values())
    free = shutil.disk_usage(task.directory).free
    if free < _COPIES * size:
        message = f"{free:,} bytes are free, and {_COPIES} copies of the weights take {_COPIES * size:,}"
        step = "Make room, or set AGENTFORGE_HOME to another disk."
        raise ResourceExhausted(message, reason="DISK_FULL", field=str(task.directory), next_step=step)
    prompts, codec = start.prompts, start.codec
    told = {
        "steps": plan(start.config), "tools": [spec.name for spec in start.toolbox.specs] if start.toolbox else [],
        "traits": start.config.persona.traits.targets if start.manner else {},
        "prompts": {"tools": prompts.tools, "persona": prompts.persona},
        "prompt_tokens": len(codec.ids(prompts.whole)), "weight_bytes": size,
    }  # fmt: skip
    (task.directory / "plan.json").write_bytes(canonical_json(told))
    return Outcome(facts={"steps": sum(plan(start.config).values()), "prompt_tokens": told["prompt_tokens"]})
