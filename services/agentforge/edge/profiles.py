"""models/profiles.json: the sizes that the two TensorRT engines are built for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agentforge.edge.graph.facts import GraphFacts, MemoryFacts
from agentforge.kit.errors import InvalidInput

Shapes = dict[str, dict[str, list[int]]]  # bound: input: dimensions


def profiles(graph: dict[str, Any], *, batch: int = 1, inputs: Iterable[str] | None = None) -> dict[str, Shapes]:
    """Decode takes one token, prefill two up to a piece. `inputs`: those that the file has, where it is not all.

    No size begins at 0: where nothing is stored, the runtime gives one empty entry with the position -1.
    """
    facts = facts_of(graph)
    past = _reach(facts)
    stored = facts.memory.slots if facts.memory else 1
    piece = min(facts.piece, facts.memory.chunk) if facts.memory else facts.piece
    state = {
        "past": (1, past if facts.window == past else _growing(past), past),
        "stored": (1, _growing(stored), stored),
        "batch": (batch, batch, batch),
    }
    times = {"decode": (1, 1, 1), "prefill": (min(2, piece), piece, piece)}
    names = None if inputs is None else set(inputs)
    return {profile: _shapes(facts, {**state, "time": time}, names) for profile, time in times.items()}


def facts_of(graph: dict[str, Any]) -> GraphFacts:
    """Of what graph.json holds."""
    told = {name: value for name, value in graph.items() if name != "format"}
    memory = told.pop("memory")
    try:
        return GraphFacts(
            memory=MemoryFacts(**{**memory, "layers": tuple(memory["layers"])}) if memory else None, **told
        )
    except (TypeError, KeyError) as error:
        raise InvalidInput(f"This does not describe a graph: {error}", field="graph.json") from error


def _reach(facts: GraphFacts) -> int:
    bounds = [bound for bound in (facts.window, facts.context) if bound is not None]
    if not bounds:
        message = (
            "A model without a window and without a longest context has no largest shape, and TensorRT needs one"
        )
        raise InvalidInput(message, reason="NO_LARGEST_SHAPE", field="context", next_step="Give it a context.")
    return min(bounds)


def _growing(most: int) -> int:
    """What TensorRT should be fastest at, of a store that fills up: a quarter full."""
    return max(1, most // 4)


def _shapes(facts: GraphFacts, sizes: dict[str, tuple[int, int, int]], names: set[str] | None) -> Shapes:
    wanted = [(name, shape) for name, _, shape in facts.inputs() if names is None or name in names]
    if names is not None and (unknown := sorted(names - {name for name, _ in wanted})):
        raise InvalidInput(f"The graph contract has no input {', '.join(unknown)}", field=f"inputs.{unknown[0]}")
    return {
        bound: {
            name: [sizes[dim][index] if isinstance(dim, str) else dim for dim in shape] for name, shape in wanted
        }
        for index, bound in enumerate(("min", "opt", "max"))
    }
