"""Decode steps of several files, and of PyTorch, in turns: what slows the machine for a while slows them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from agentforge.edge.asking import engine_of
from agentforge.edge.device.runtime.state import State
from agentforge.models.ternary.linear import frozen

EAGER = "pytorch"
_UNTIMED = 3


def decode_seconds(
    model: Any, files: Mapping[str, Path], *, seen: int, steps: int, threads: int
) -> dict[str, list[float]]:
    """Of each step, by name and EAGER, after `seen` tokens. PyTorch has the threads that it was given."""
    turns = {name: _file_turn(file, seen, threads) for name, file in files.items()}
    with torch.no_grad(), frozen(model):
        return _in_turns({**turns, EAGER: _torch_turn(model, seen)}, steps)


def model_seconds(models: Mapping[str, Any], *, seen: int, steps: int) -> dict[str, list[float]]:
    """Of each step of several models by PyTorch, by name."""
    with torch.no_grad(), ExitStack() as held:
        for model in models.values():
            held.enter_context(frozen(model))
        return _in_turns({name: _torch_turn(model, seen) for name, model in models.items()}, steps)


def _in_turns(turns: Mapping[str, Callable[[], object]], steps: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for step in range(steps + _UNTIMED):
        for name, turn in turns.items():
            began = perf_counter()
            turn()
            if step >= _UNTIMED:
                seconds[name].append(perf_counter() - began)
    return seconds


def _file_turn(file: Path, seen: int, threads: int) -> Callable[[], object]:
    engine = engine_of(file, threads)
    state = State(engine.graph)
    last = [engine.feed(state, [_text(seen, engine.graph.vocabulary)])[0]]

    def turn() -> None:
        last[0] = engine.feed(state, [[int(last[0].argmax())]])[0]

    return turn


def _torch_turn(model: Any, seen: int) -> Callable[[], object]:
    device = next(model.parameters()).device
    text = torch.tensor([_text(seen, model.config.get_text_config().vocab_size)], device=device)
    held = [model(text, use_cache=True)]

    def turn() -> None:
        token = held[0].logits[:, -1:].argmax(-1)
        held[0] = model(token, past_key_values=held[0].past_key_values, use_cache=True)

    return turn


def _text(length: int, vocabulary: int) -> list[int]:
    return [place % vocabulary for place in range(length)]
