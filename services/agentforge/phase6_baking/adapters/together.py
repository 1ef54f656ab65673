"""What PEFT cannot combine, told before anything is loaded. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from agentforge.kit.checks import violations
from agentforge.kit.errors import InvalidInput, Violation
from agentforge.kit.inputs import InputPath
from agentforge.phase6_baking.adapters.described import Adapter
from agentforge.phase6_baking.configs.adapters import AdaptersConfig

Read = Sequence[tuple[InputPath, Adapter]]


def check_together(read: Read, config: AdaptersConfig) -> list[Violation]:
    found = violations(("adapters.weights", partial(_check_weights, len(read), config)))
    if len(read) < 2 and not config.weights:
        return found
    for given, adapter in read:
        found += violations((given.field, partial(_check_variant, adapter)))
    if len(read) > 1:
        found += violations(("adapters.method", partial(_check_alike, read, config)))
    return found


def _check_weights(count: int, config: AdaptersConfig) -> None:
    if config.weights and len(config.weights) != count:
        message = f"{len(config.weights)} weights are given for {count} adapters"
        step = "Give a weight for each adapter, or none."
        raise InvalidInput(message, reason="WRONG_WEIGHTS", field="adapters.weights", next_step=step)


def _check_variant(adapter: Adapter) -> None:
    """PEFT would forget DoRA's magnitudes, and scale a combined rsLoRA by the root of its rank."""
    for name in ("use_dora", "use_rslora"):
        if adapter.settings.get(name):
            message = f"{adapter.directory} has {name}, with which PEFT does not combine or weight adapters rightly"
            step = "Merge it alone and without a weight."
            raise InvalidInput(message, reason="CANNOT_COMBINE", field=name, next_step=step)


def _check_alike(read: Read, config: AdaptersConfig) -> None:
    kinds = {type(adapter.settings.get("target_modules")) for _, adapter in read}
    if len(kinds) > 1:
        message = "target_modules is a pattern in one adapter and a list in another, which PEFT does not combine"
        raise InvalidInput(message, reason="CANNOT_COMBINE", field="target_modules")
    if config.method == "cat":
        return
    step = "Take method cat, which takes all ranks."
    highest = {given.name: max(adapter.ranks) for given, adapter in read}
    if len(set(highest.values())) > 1:
        told = ", ".join(f"{name} has {rank}" for name, rank in highest.items())
        message = f"{config.method} needs adapters of one rank: {told}"
        raise InvalidInput(message, reason="DIFFERENT_RANKS", field="adapters.method", next_step=step)
    first = read[0][1]
    for given, adapter in read[1:]:
        for layer in sorted(first.layers.keys() & adapter.layers.keys()):
            if first.layers[layer].rank != adapter.layers[layer].rank:
                message = f"{config.method} needs one rank in each layer; in {layer} that of {given.name} differs"
                raise InvalidInput(message, reason="DIFFERENT_RANKS", field=layer, next_step=step)
