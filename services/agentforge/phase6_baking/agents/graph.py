"""GraphOptimizer: how many operators a token takes, and how many of them make codes that do not change."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from agentforge.kit.agents.agent import Outcome, Task
from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import DataLoss
from agentforge.kit.measure import Measurement
from agentforge.models.ternary.linear import frozen
from agentforge.phase6_baking.agents import weights
from agentforge.phase6_baking.start import Start


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))


def optimise_graph(start: Start, task: Task) -> Outcome:
    """Codes and scales of ternary layers are held for a whole answer; that must not change a logit."""
    model = weights.read(task.inputs["weights"], weights.BAKED, start)
    ids_1T = torch.tensor([start.codec.prompt_ids("Q: 1 + 1 = A:")], device=model.device)
    before, plain = _operators(model, ids_1T)
    with frozen(model):
        after, held = _operators(model, ids_1T)
    if not torch.equal(plain, held):
        message = f"with codes that are held, logits differ by up to {(plain - held).abs().max():.3g}"
        raise DataLoss(message, reason="GRAPH_CHANGED", field="logits")
    told = {"operators": before, "operators_held": after, "held": after < before}
    (task.directory / "graph.json").write_bytes(canonical_json(told))
    method = "operators of one forward pass with codes held, over those of one that makes them; equal logits"
    return Outcome((Measurement("baking/graph_operators_kept", after / before, "1", method, 1),), told)


@torch.no_grad()
def _operators(model: Any, ids_1T: Tensor) -> tuple[int, Tensor]:
    with _Counting() as counting:
        logits: Tensor = model(input_ids=ids_1T).logits
    return sum(counting.counts.values()), logits
