"""A conversation with the model: its state from turn to turn, and one answer after the other, piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple

import numpy as np

from .backend import Backend
from .contract import Graph
from .errors import ContextFull, EdgeError
from .sampling import Sampling, choose_token
from .state import State
from .text import Text, TextStream

EOS, STOP, LENGTH, CONTEXT = "eos", "stop", "length", "context"


@dataclass
class Stats:
    prompt_tokens: int = 0
    tokens: int = 0
    to_first_token: float = 0.0  # seconds, from the call to the first token
    steps: list[float] = field(default_factory=list)  # seconds that each further token took


class Piece(NamedTuple):
    text: str
    ids: list[int]
    finish: str = ""  # why the answer is over; empty until then


class Engine(NamedTuple):
    """What sessions share. `step` surrounds every run of the graph: a lock, a watch."""

    backend: Backend
    graph: Graph
    step: Callable[[], AbstractContextManager[object]] = nullcontext

    def feed(self, state: State, rows: Sequence[Sequence[int]]) -> np.ndarray:
        """Let every row read its new tokens; logits (B, V) after the last of each. A row with none gets zeros."""
        logits_BV = np.zeros((len(rows), self.graph.vocabulary), np.float32)
        for ids_BT, position_BT in state.pieces(rows):
            inputs = state.inputs
            inputs.update(input_ids=ids_BT, position=position_BT)
            with self.step():
                outputs = self.backend.run(inputs)
            state.write(position_BT, outputs)
            is_real_B = position_BT[:, -1] >= 0
            logits_BV[is_real_B] = outputs["logits"][is_real_B]
        return logits_BV


class Session:
    def __init__(self, engine: Engine, text: Text) -> None:
        self.engine, self.text = engine, text
        self.state = State(engine.graph)
        self.stats = Stats()  # of the latest answer
        self._unread: list[int] = []  # tokens of the conversation that the model has not read
        self._started = False

    def room(self) -> int | None:
        """Tokens that the context has left; None: no bound."""
        context = self.engine.graph.context
        return None if context is None else context - int(self.state.length[0]) - len(self._unread)

    def prompt_ids(self, prompt: str) -> list[int]:
        ids = self.text.encode(prompt, start=not self._started)
        if not ids and not self._unread:
            raise EdgeError("the prompt is empty")
        room = self.room()
        if room is not None and len(ids) > room:
            raise ContextFull(f"the prompt has {len(ids)} tokens, and the model's context has room for {room}")
        return ids

    def generate(
        self,
        prompt: str | Sequence[int],
        max_tokens: int,
        sampling: Sampling = Sampling(),  # noqa: B008 - it cannot be changed
        stop: Sequence[str] = (),
    ) -> Iterator[Piece]:
        """Greedy with the default sampling. The eos token is neither text nor counted."""
        began = perf_counter()
        ids = self.prompt_ids(prompt) if isinstance(prompt, str) else list(prompt)
        self.stats, stream = Stats(prompt_tokens=len(ids)), TextStream(self.text, stop)
        self._unread += ids
        self._started = True
        for number in range(max_tokens):
            if number and self._is_full():
                yield Piece(stream.end(), [], CONTEXT)
                return
            token = self._next(sampling, number)
            now = perf_counter()
            if token == self.engine.graph.eos:
                self._unread = [token]
                yield Piece(stream.end(), [], EOS)
                return
            self._count(now - began)
            began, self._unread = now, [token]
            piece = Piece(stream.push(token), [token])
            yield piece._replace(finish=STOP) if stream.stopped else piece
            if stream.stopped:
                return
        yield Piece(stream.end(), [], STOP if stream.stopped else LENGTH)

    def _next(self, sampling: Sampling, number: int) -> int:
        logits_BV = self.engine.feed(self.state, [self._unread])
        self._unread = []
        return choose_token(logits_BV[0], sampling, number)

    def _is_full(self) -> bool:
        room = self.room()
        return room is not None and room < 0

    def _count(self, seconds: float) -> None:
        self.stats.tokens += 1
        if self.stats.tokens == 1:
            self.stats.to_first_token = seconds
        else:
            self.stats.steps.append(seconds)
