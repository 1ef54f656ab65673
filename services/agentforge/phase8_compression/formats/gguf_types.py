"""Which GGUF types there are, and what of a model no such file can hold, by config.json alone. Free of torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agentforge.kit.errors import FailedPrecondition, Violation
from agentforge.models.fields_titan import MODEL_TYPE
from agentforge.models.gguf.fits import check_architecture
from agentforge.phase8_compression.formats.face import Described, Options

WHERE = "formats.gguf"


@dataclass(frozen=True)
class Kind:
    """`block`: what a row's weights are a multiple of. `tensors`: the types of matrices that a file of it may have;
    where a row does not fit, llama.cpp silently writes another. `ours`: by our own writer, not llama.cpp's.
    """

    block: int
    tensors: frozenset[str]
    ours: bool = False
    ternary: bool = False


KINDS: Mapping[str, Kind] = {
    "F16": Kind(1, frozenset({"F16"}), ours=True),
    "Q8_0": Kind(32, frozenset({"Q8_0"}), ours=True),
    "TQ2_0": Kind(256, frozenset({"TQ2_0", "Q8_0"}), ours=True, ternary=True),  # embeddings and head: Q8_0
    "Q4_0": Kind(32, frozenset({"Q4_0", "Q4_1", "Q6_K", "Q8_0"})),  # the head, and a tied table, have more bits
    "Q4_K_M": Kind(256, frozenset({"Q4_K", "Q5_K", "Q6_K"})),
    "Q2_K": Kind(256, frozenset({"Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"})),
}

_PARTS = {
    "memory": "its long-term memory, which learns while it reads",
    "recursion": "its recursive reasoning",
    "act": "its adaptive number of steps",
    "persistent_tokens": "its learned tokens that have no place in the text",
    "sliding_window": "its sliding window",
}


def cannot(described: Described, options: Options) -> list[Violation]:
    if described.get("model_type") == MODEL_TYPE:
        return [*_titan(described)]
    try:
        check_architecture(described)
    except FailedPrecondition as error:
        return error.at(WHERE)
    return [each for name in options.gguf for each in _kind(name, described, options)]


def _titan(described: Described) -> Iterator[Violation]:
    step = "Distil a Llama-shaped student, of widths that are multiples of 256; or leave gguf out."
    for part, told in _PARTS.items():
        if described.get(part):
            yield Violation(f"{WHERE}.{part}", f"llama.cpp cannot compute a Titan: {told}", "UNKNOWN_PART", step)
    message = (
        "llama.cpp cannot compute a Titan: its embeddings are normed, and its queries, keys and values are one"
    )
    yield Violation(f"{WHERE}.model_type", message, "UNKNOWN_ARCHITECTURE", step)


def _kind(name: str, described: Described, options: Options) -> Iterator[Violation]:
    kind = KINDS.get(name)
    if kind is None:
        message = f"no GGUF type {name!r} is written here; there are {', '.join(KINDS)}"
        yield Violation(WHERE, message, "UNKNOWN_TYPE", "Take one of these.")
        return
    if options.ternary and not kind.ternary:
        message = f"{name} would round ternary layers once more"
        yield Violation(WHERE, message, "TERNARY_MODEL", "Take TQ2_0, which holds them as they are.")
    if kind.ternary and not options.ternary:
        message = f"{name} is right only for ternary layers, and this model has none"
        yield Violation(WHERE, message, "NOT_TERNARY", "Take Q4_K_M, Q4_0 or Q2_K.")
    for layer, width in _widths(described).items():
        if width % kind.block:
            message = f"{layer} has {width} inputs, and {name} takes multiples of {kind.block}"
            yield Violation(
                f"{WHERE}.{layer}", message, "BLOCK_MISFIT", "Take Q8_0 or F16, or a student that fits."
            )


def _widths(described: Described) -> dict[str, int]:
    """Inputs of a Llama's layers, which rows of the file are."""
    hidden, heads = described["hidden_size"], described["num_attention_heads"]
    size = described.get("head_dim") or hidden // heads
    return {
        "embed_tokens, q_proj, k_proj, v_proj, gate_proj and up_proj": hidden,
        "o_proj": heads * size,
        "down_proj": described["intermediate_size"],
    }
