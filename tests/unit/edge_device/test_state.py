"""The ring, the memory and the pieces: against a plain restatement, and against the model's own code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agentforge.edge.device.runtime.contract import load_graph
from agentforge.edge.device.runtime.errors import BrokenPackage, ContextFull
from agentforge.edge.device.runtime.generate import Engine
from agentforge.edge.device.runtime.memory import LayerMemory
from agentforge.edge.device.runtime.onnx_backend import OnnxBackend
from agentforge.edge.device.runtime.state import State

from .toy import Toy, graph_json

IDS = np.random.Generator(np.random.Philox(key=1)).integers(0, 256, 96).tolist()


def test_token_by_token_it_is_the_whole_text_at_once(engine: Engine, toy: Toy) -> None:
    state = State(toy.graph)
    for length in range(1, len(IDS) + 1):
        logits = engine.feed(state, [IDS[length - 1 : length]])[0]
        assert np.abs(logits - toy.logits(IDS[:length])).max() < 5e-4
    at_once = engine.feed(State(toy.graph), [IDS])[0]
    assert np.abs(at_once - logits).max() < 5e-4


def test_rows_of_other_lengths_do_not_disturb_each_other(engine: Engine, toy: Toy) -> None:
    state = State(toy.graph, 3)
    engine.feed(state, [IDS[:37], IDS[5:7], []])
    logits = engine.feed(state, [IDS[37:60], IDS[7:30], IDS[3:4]])
    wanted = [toy.logits(IDS[:60]), toy.logits(IDS[5:30]), toy.logits(IDS[3:4])]
    assert np.abs(logits - np.stack(wanted)).max() < 5e-4
    before = {name: array.copy() for name, array in state.inputs.items()}
    nothing = {name: np.ones((3, 1, 1, 1), np.float32) for name in ("new.0.key", "new.0.value")}
    names = [f"memory.0.{name}" for name in LayerMemory.OUTPUTS]
    state.write(np.full((3, 1), -1, np.int32), {**nothing, **{name: np.ones((3, 1)) for name in names}})
    assert all((state.inputs[name] == array).all() for name, array in before.items())


@pytest.mark.parametrize("window", [1, 3, 12, 16, 40])
def test_any_window_is_shorter_or_longer_than_a_piece(window: int, tmp_path: Any) -> None:
    other = Toy(window=window, slots=5, seed=window)
    other.save(tmp_path / "toy.onnx")
    engine = Engine(OnnxBackend(tmp_path / "toy.onnx", 1), other.graph)
    state = State(other.graph)
    assert np.abs(engine.feed(state, [IDS[:50]])[0] - other.logits(IDS[:50])).max() < 5e-4
    assert state.inputs["past_position"].shape[1] == window


def test_pieces_end_where_chunks_end_and_padding_stands_left(toy: Toy) -> None:
    state = State(toy.graph, 2)
    state.length[:] = [3, 8]
    shapes = [(ids.tolist(), position.tolist()) for ids, position in state.pieces([[1, 2, 3, 4, 5, 6], [7, 8]])]
    assert shapes == [
        ([[1, 2, 3, 4, 5], [0, 0, 0, 7, 8]], [[3, 4, 5, 6, 7], [-1, -1, -1, 8, 9]]),
        ([[6], [0]], [[8], [-1]]),
    ]


def test_a_text_longer_than_the_context_is_refused_before_anything_runs(engine: Engine, toy: Toy) -> None:
    state = State(toy.graph)
    engine.feed(state, [IDS[:90]])
    with pytest.raises(
        ContextFull, match="7 tokens after 90 that it has seen do not fit into the model's context of 96"
    ):
        engine.feed(state, [IDS[:7]])
    assert state.length[0] == 90


def test_the_ring_grows_in_powers_of_two_up_to_the_context() -> None:
    graph = Toy(context=90).graph._replace(window=None, memory=None, piece=8)
    state, sizes = State(graph), []
    for ids, position in state.pieces([[0] * 90]):
        made = {f"new.0.{part}": np.zeros((1, 2, ids.shape[1], 4), np.float32) for part in ("key", "value")}
        state.write(position, made)
        sizes.append(state.inputs["past_position"].shape[1])
    assert sorted(set(sizes)) == [16, 32, 64, 90]
    assert state.inputs["past_position"][0].tolist() == list(range(90))
    assert all(array.flags.c_contiguous for array in state.inputs.values())


def written(slots: int, keep_by: str, tokens: int) -> Iterator[tuple[LayerMemory, NDArray[Any], NDArray[Any]]]:
    """Random ranks in random pieces: the memory before each, and its positions and ranks."""
    rule = Toy(slots=slots).graph.memory
    assert rule is not None
    memory = LayerMemory(Toy().graph._replace(memory=rule._replace(keep_by=keep_by)), 1)
    rng = np.random.Generator(np.random.Philox(key=slots))
    start = 0
    while start < tokens:
        size = min(int(rng.integers(1, 9)), 8 - start % 8)
        position = np.arange(start, start + size, dtype=np.int32)[None]
        rank = rng.standard_normal((1, size)).astype(np.float32)
        yield memory, position, rank
        wide = rank[:, :, None].repeat(8, 2)
        made = {
            "new_key": wide,
            "new_value": -wide,
            "new_score": 2 * rank,
            "new_rank": rank,
            "new_momentum": rank[:, 0],
        }
        memory.write(position, np.array([size]), made)
        start += size


KINDS = [(slots, keep_by) for slots in (3, 8, 20) for keep_by in ("surprise_novelty", "fifo")]


@pytest.mark.parametrize(("slots", "keep_by"), KINDS)
def test_survivors_are_the_highest_of_all_earlier_chunks(slots: int, keep_by: str) -> None:
    ranks = np.zeros(0, np.float32)
    for memory, position, rank in written(slots, keep_by, 120):
        earlier = np.arange(position[0, 0] // 8 * 8)
        order = earlier if keep_by == "fifo" else ranks[: len(earlier)] - earlier * np.float32(-0.01)
        there = memory.inputs["position"][0] >= 0
        kept = memory.inputs["position"][0][there]
        assert set(kept) == set(np.argsort(-order)[:slots])
        assert len(kept) == min(len(earlier), slots)
        stored = {name: memory.inputs[name][0][there] for name in ("key", "value", "score")}
        assert (stored["key"][:, 3] == ranks[kept]).all()  # every field moved with its entry
        assert (stored["value"][:, 0] == -ranks[kept]).all()
        assert (stored["score"] == 2 * ranks[kept]).all()
        ranks = np.concatenate([ranks, rank[0]])


@pytest.mark.slow
@pytest.mark.parametrize(("slots", "keep_by"), KINDS)
def test_survivors_are_those_of_the_model(slots: int, keep_by: str) -> None:
    """The model's own `_readable` and `_forget`."""
    import torch

    from agentforge.models import TitanConfig
    from agentforge.models.memory_titan import LongTermMemory, MemoryState

    fields = {"hidden_size": 8, "num_attention_heads": 2, "memory_slots": slots, "memory_chunk": 8}
    model = LongTermMemory(TitanConfig.preset("tiny", **fields, memory_write=keep_by))
    theirs, decay = model.empty(torch.zeros(1, 1, 8)), torch.tensor(-0.01)
    for memory, position, rank in written(slots, keep_by, 400):
        fresh, position_BT, rank_BT = (
            torch.zeros(1, rank.shape[1], 8),
            torch.from_numpy(position),
            torch.from_numpy(rank),
        )
        readable_S = model._readable(position_BT, theirs, decay)[0, 0]
        ours = memory.inputs["position"][0]
        assert sorted(theirs.position[0][readable_S].tolist()) == sorted(ours[ours >= 0].tolist())
        assert len(ours) <= slots
        new = (fresh, fresh, rank_BT, rank_BT, position_BT)
        joined = [torch.cat(pair, 1) for pair in zip(theirs[:5], new, strict=True)]
        key, value, score, rank_BS, position_BS = joined
        theirs = model._forget(MemoryState(key, value, score, rank_BS, position_BS, theirs.momentum), decay)


def test_a_piece_across_chunks_is_a_mistake_that_is_seen(toy: Toy) -> None:
    memory = LayerMemory(toy.graph, 1)
    with pytest.raises(ValueError, match="9 tokens cross the end of a chunk of 8"):
        memory.write(np.arange(9, dtype=np.int32)[None], np.array([9]), {"new_rank": np.zeros((1, 9))})


def test_graph_json_is_read_and_refused(toy: Toy, tmp_path: Any) -> None:
    file = tmp_path / "graph.json"
    file.write_text(graph_json(toy.graph))
    assert load_graph(file) == toy.graph
    for old, new in (
        ('"format": 1', '"format": 2'),
        ("surprise_novelty", "random"),
        ('"piece"', '"bit"'),
        ("{", "["),
    ):
        file.write_text(graph_json(toy.graph).replace(old, new, 1))
        with pytest.raises(BrokenPackage, match=r"graph\.json does not describe a graph"):
            load_graph(file)
