"""A combination of merge techniques on whole models.

Taken literally, the seeds' stages collapse: DARE and TIES have nothing to work on once stage 1 has left one model,
nor has a choice of layers. So each stage looks at the parents again, and its result is blended in:

    M1 = Linear or SLERP of the parents
    M2 = M1 blended with (base + DARE or TIES of the parents' differences from it)
    M3 = M2 blended with the best parent, layer by layer (Franken), or the parents' importance-weighted mean (DFS)

with tensors scaled back into the band around the parents' norm at the end. SLERP turns the parents' differences
from the base. Between whole weights of branches of one trunk the angle is so small that the arc is a line: with
differences of 5 % of the trunk's norm, correlated by .9, the closest two children were then 9e-6 of the norm
apart, and are 5e-4 apart this way. (Parents whose mean is the base leave two of them exactly opposite, where there
is no arc either: of two such parents SLERP is Linear, unless it turns the weights.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from agentforge.kit.errors import InvalidInput
from agentforge.phase2_evomerge.methods.base import Sources, check_finite
from agentforge.phase2_evomerge.operators.combination import Combination, CombinationOptions
from agentforge.phase2_evomerge.operators.dfs import weighted_mean
from agentforge.phase2_evomerge.operators.franken import chosen_by_name
from agentforge.phase2_evomerge.operators.stages import blended, interpolated, with_task, within_band
from agentforge.phase2_evomerge.operators.tensors import Tensors, check_alike


def combine(
    combination: Combination,
    parents: Sequence[Tensors],
    base: Tensors,
    *,
    seed: int,
    layer_choice: Mapping[str, int] | None = None,
    importance: Sequence[Tensors] | None = None,
    options: CombinationOptions | None = None,
) -> dict[str, Tensor]:
    """The child. Franken needs `layer_choice` (`franken.choose_layers`), DFS `importance` (`importance.fisher`)."""
    options = options or CombinationOptions()
    if len(parents) < 2:
        raise InvalidInput("a combination needs two parents or more", reason="PARENT_COUNT", field="parents")
    check_alike((*parents, base))
    selected = _selected(combination, parents, layer_choice, importance, options)
    child = {}
    for name, first in parents[0].items():
        if not first.is_floating_point():
            child[name] = first.clone()
            continue
        copies = tuple(parent[name] for parent in parents)
        check_finite(name, copies)
        check_finite(name, (base[name],), role="base")
        sources = Sources(name, copies, base[name], seed)
        one, two = interpolated(combination, sources, options), with_task(combination, sources, options)
        three = blended(blended(one, two, options.task_share), selected(name), options.selection_share)
        child[name] = within_band(three, copies, options.norm_band)
    return child


def _selected(
    combination: Combination,
    parents: Sequence[Tensors],
    layer_choice: Mapping[str, int] | None,
    importance: Sequence[Tensors] | None,
    options: CombinationOptions,
) -> Callable[[str], Tensor]:
    """What stage 3 blends in, by the tensor's name."""
    if combination.selection == "franken":
        if layer_choice is None:
            raise ValueError(f"combination {combination.name} needs a choice of layers")
        parent_of = chosen_by_name(parents[0], layer_choice)
        return lambda name: parents[parent_of[name]][name]
    if importance is None:
        raise ValueError(f"combination {combination.name} needs the parents' importance")
    check_alike((parents[0], *importance))
    return lambda name: weighted_mean(
        name, [each[name] for each in parents], [each[name] for each in importance], options.importance_floor
    )
