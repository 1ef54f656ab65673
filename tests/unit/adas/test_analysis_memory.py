from __future__ import annotations

from dataclasses import replace

import pytest

from agentforge.edge.device.runtime.contract import Graph
from agentforge.edge.graph.facts import GraphFacts
from agentforge.kit.errors import InvalidInput
from agentforge.phase7_adas.analysis.devices import XAVIER, Device, Figure
from agentforge.phase7_adas.analysis.memory import Sizes
from agentforge.phase7_adas.analysis.roofline import PRECISIONS
from tests.unit.adas.analysis_toys import FACTS, FULL, HEAD, HEADS, HIDDEN, REMEMBERING, window

KEPT = PRECISIONS["as-stored"]


def device(usable_bytes: int) -> Device:
    return replace(XAVIER, memory=Figure(usable_bytes, "By", "a test"), usable=1.0)


@pytest.fixture(scope="module")
def full() -> Sizes:
    return Sizes(window(), FULL)


def test_state_grows_as_the_runtimes_rings_do() -> None:
    sizes = Sizes(window(), FACTS)
    assert [sizes.dims(seen, 1)["past"] for seen in (0, 1, 16, 17, 33, 64, 65, 10**6)] == [
        16,
        16,
        16,
        32,
        64,
        64,
        64,
        64,
    ]
    entry = 4 * (2 * HEADS * HEAD + 1)
    assert sizes.need(17, KEPT).window == 32 * entry
    assert sizes.need(10**6, KEPT) == replace(sizes.need(64, KEPT), context=10**6)


def test_memory_entries_settle_by_chunks_up_to_the_slots() -> None:
    sizes = Sizes(window(), REMEMBERING)
    assert sizes.piece == 16
    assert [sizes.dims(seen, 1)["stored"] for seen in (0, 15, 16, 33, 64, 96, 10**6)] == [
        16,
        16,
        16,
        32,
        64,
        100,
        100,
    ]
    entry = 4 * (2 * HIDDEN + 3)
    assert sizes.need(33, KEPT).memory == (32 + 16) * entry + 4


@pytest.mark.parametrize("facts", [FACTS, FULL, REMEMBERING])
def test_shapes_are_what_the_runtime_feeds(facts: GraphFacts) -> None:
    import numpy as np

    from agentforge.edge.device.runtime.state import State

    state, sizes = State(_graph(facts)), Sizes(window(), facts)
    seen = 0
    for ids, position in state.pieces([[1] * 70]):
        expected = sizes.dims(seen, ids.shape[1])
        fed = state.inputs
        assert fed["past_position"].shape == (1, expected["past"])
        if facts.memory:
            assert fed["memory.0.key"].shape[1] == expected["stored"]
        time = ids.shape[1]
        shapes = {name: [{"batch": 1, "time": time}.get(str(each), each) for each in shape]
                  for name, _, shape in facts.outputs()}  # fmt: skip
        state.write(position, {name: np.zeros([int(each) for each in shape]) for name, shape in shapes.items()})
        seen += time


def _graph(facts: GraphFacts) -> Graph:
    from agentforge.edge.device.runtime import contract

    record = facts.record
    memory = record.pop("memory")
    del record["format"]
    rule = None if memory is None else contract.Memory(**memory)
    return contract.Graph(**record, memory=rule)


def test_the_longest_context_fits_and_one_more_does_not(full: Sizes) -> None:
    small = device(full.need(1000, KEPT).total)
    longest = full.largest_context(small, KEPT)
    assert longest == 1024  # what 1,000 tokens take: the ring doubles
    assert full.need(longest, KEPT).total <= small.usable_bytes < full.need(longest + 1, KEPT).total
    assert full.check(longest, small, KEPT, field="context").context == 1024


def test_a_context_beyond_memory_is_refused_in_words(full: Sizes) -> None:
    small = device(full.need(1000, KEPT).total)
    with pytest.raises(InvalidInput, match="5,000 tokens would take") as refused:
        full.check(5000, small, KEPT, field="edge.context")
    assert (refused.value.reason, refused.value.field) == ("CONTEXT_BEYOND_MEMORY", "edge.context")
    assert refused.value.next_step == "Take 1,024 tokens or less."


def test_a_model_that_fits_at_no_context() -> None:
    sizes, tiny = Sizes(window(), FACTS), device(1000)
    assert sizes.largest_context(tiny, KEPT) == 0
    with pytest.raises(InvalidInput, match="64 tokens would take") as refused:
        sizes.check(64, tiny, KEPT, field="context")
    assert "no context fits" in refused.value.next_step


def test_a_state_that_stops_growing_knows_no_limit() -> None:
    assert Sizes(window(), FACTS).largest_context(XAVIER, KEPT) is None


def test_a_models_own_limit() -> None:
    sizes = Sizes(window(), replace(FULL, context=128))
    assert sizes.largest_context(XAVIER, KEPT) == 128
    with pytest.raises(InvalidInput) as refused:
        sizes.check(129, XAVIER, KEPT, field="context")
    assert refused.value.reason == "CONTEXT_BEYOND_MODEL"


def test_fewer_bits_take_less(full: Sizes) -> None:
    needs = [full.need(64, PRECISIONS[name]).weights for name in ("fp32", "fp16", "int8", "4-bit")]
    assert needs == sorted(needs, reverse=True)
    assert needs[0] == full.need(64, KEPT).weights
