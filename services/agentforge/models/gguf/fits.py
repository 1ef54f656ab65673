"""What cannot be in a GGUF file that llama.cpp runs rightly: told from config.json and widths, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from agentforge.kit.errors import FailedPrecondition, Violation

Dense = Literal["F32", "F16", "Q8_0"]
Ternary = Literal["TQ2_0", "TQ1_0"]
TERNARY: tuple[Ternary, ...] = get_args(Ternary)
BLOCK: dict[Dense | Ternary, int] = {"F32": 1, "F16": 1, "Q8_0": 32, "TQ2_0": 256, "TQ1_0": 256}
"""Weights of a row that share a scale: they must divide it."""


_STATIC_ROPE = ("default", "linear", "llama3")  # their frequencies follow from the settings alone


def check_architecture(described: Mapping[str, Any]) -> None:
    """`described`: config.json. Llama's graph alone is known to be the same in llama.cpp."""
    kind, activation = described.get("model_type"), described.get("hidden_act", "silu")
    if kind != "llama":
        message = f"a model of type {kind!r} cannot be a GGUF file: llama.cpp has no architecture that computes it"
        step = "Make it of a Llama (LlamaForCausalLM), or ask for no GGUF file."
        raise FailedPrecondition(message, reason="UNKNOWN_ARCHITECTURE", field="model_type", next_step=step)
    if activation != "silu":
        message = f"llama.cpp computes Llama's MLP with silu, and this model's is {activation!r}"
        raise FailedPrecondition(message, reason="UNKNOWN_ARCHITECTURE", field="hidden_act")
    positions = described.get("rope_parameters") or described.get("rope_scaling") or {}
    turned = positions.get("rope_type", positions.get("type", "default"))
    if turned not in _STATIC_ROPE:
        message = f"positions of the kind {turned!r} are not written; known are {', '.join(_STATIC_ROPE)}"
        raise FailedPrecondition(message, reason="UNKNOWN_ROPE", field="rope_parameters")


def misfit(name: str, width: int, kind: Dense | Ternary, *, group: int = 0) -> Violation | None:
    """Of a layer of `width` inputs, `group` of which share a scale (0: a row or all of them)."""
    block = BLOCK[kind]
    if width % block:
        message = f"{name} has {width} inputs, and {kind} takes multiples of {block}"
        return Violation(name, message, "BLOCK_MISFIT", "Take a model of other widths, or another type.")
    if group % block:
        message = f"{name} has a scale for each {group} inputs, and {kind} one for each {block}"
        return Violation(name, message, "BLOCK_MISFIT", f"Take groups of a multiple of {block}, or another scale.")
    return None


def norm_misfit(name: str) -> Violation:
    """llama.cpp has BitNet's norms in an architecture of other places for them, and with weights."""
    message = f"{name} norms its inputs before they are quantised, which llama.cpp's Llama does not"
    return Violation(name, message, "NORM_UNKNOWN", "Train without ternary.norm.")
