"""The model in memory, ready to be asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ....codecs.payload import Payload
from ..runtime.generate import Engine, Session
from ..runtime.sampling import Sampling
from . import numpy_llama, numpy_titan
from .bpe import BytePairs
from .weights import Weights

BACKENDS: dict[str, type[numpy_titan.NumpyTitan] | type[numpy_llama.NumpyLlama]] = {
    numpy_titan.KIND: numpy_titan.NumpyTitan,
    numpy_llama.KIND: numpy_llama.NumpyLlama,
}


class Wish(NamedTuple):
    """How an answer is to be made."""

    max_tokens: int = 128
    temperature: float = 0.0
    seed: int = 0

    def faults(self) -> list[str]:
        found = Sampling(self.temperature, seed=self.seed).faults()
        return found if self.max_tokens > 0 else [*found, f"max_tokens must be 1 or more, not {self.max_tokens}"]


class Agent:
    def __init__(
        self, payloads: Mapping[str, Payload], config: dict[str, Any], tokenizer: dict[str, Any], eos: int
    ) -> None:
        """`unused`: tensors that the model has no place for. `rounds`: some layer rounds its inputs to 8 bits."""
        weights = Weights(payloads)
        backend = BACKENDS[config["model_type"]](weights, config)
        self.unused, self.rounds = weights.left(), weights.rounds
        self.text = BytePairs(tokenizer)
        lead = tokenizer["lead"]
        self.engine = Engine(backend, backend.graph(eos, lead[0] if lead else None))

    def session(self) -> Session:
        text: Any = self.text  # it has the face of the runtime's Text
        return Session(self.engine, text)

    def answer(self, prompt: str, wish: Wish) -> str:
        return "".join(self.pieces(self.session(), prompt, wish))

    @staticmethod
    def pieces(session: Session, prompt: str, wish: Wish) -> Iterator[str]:
        # Halves of characters, which a terminal or JSON may bring, are no text.
        prompt = prompt.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        sampling = Sampling(wish.temperature, seed=wish.seed)
        for piece in session.generate(prompt, wish.max_tokens, sampling):
            yield piece.text
