"""One config for children of several parents. Free of torch: a service asks before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentforge.kit.errors import InvalidInput

# What says nothing about the weights' meaning.
_ASIDE = {
    "_name_or_path", "transformers_version", "dtype", "torch_dtype", "_attn_implementation_autoset", "use_cache"
}  # fmt: skip
# How long a model thinks and how much it can hold decide no tensor: specialists differ in them on purpose.
_LARGEST = {"act_threshold", "memory_slots"}


def common_fields(configs: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """The first one's fields, but of what parents may differ in, the largest: a child thinks as long, and holds as
    much, as any of them."""
    first = dict(configs[0])
    for config, name in zip(configs[1:], names[1:], strict=True):
        for field in sorted((first.keys() | config.keys()) - _ASIDE):
            one, other = first.get(field), config.get(field)
            if one == other:
                continue
            if field not in _LARGEST or one is None or other is None:
                message = f"{field} is {one!r} in {names[0]} and {other!r} in {name}: mixed architectures"
                step = "Merge models of one architecture, best those trained from one trunk."
                raise InvalidInput(message, reason="MIXED_ARCHITECTURES", field=field, next_step=step)
            first[field] = max(one, other)
    return first
