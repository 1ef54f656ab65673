"""The fields of TitanConfig and what must hold between them. Without torch, so that a service can check a config.

It is saved beside the weights together with configuration_titan.py, which adds the Hugging Face face.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

MODEL_TYPE = "agentforge_titan"

# Only what differs from the defaults below, which are the `full` model of 25,069,534 parameters.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "vocab_size": 512, "hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
        "intermediate_size": 256, "sliding_window": 32, "persistent_tokens": 4, "memory_layers": [1],
        "memory_slots": 256, "memory_chunk": 16, "memory_init_slots": 16, "act_rank": 8, "act_steps_train": 3,
    },
    "small": {
        "vocab_size": 2048, "hidden_size": 144, "num_hidden_layers": 5, "num_attention_heads": 4,
        "intermediate_size": 480, "sliding_window": 64, "persistent_tokens": 16, "memory_layers": [1, 3],
        "memory_slots": 1024, "memory_chunk": 32, "memory_init_slots": 32, "act_rank": 16, "act_steps_train": 4,
    },
    "full": {},
    "50m": {
        "hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "intermediate_size": 1920,
        "memory_layers": [1, 3, 5, 7, 9],
    },
    "100m": {
        "hidden_size": 640, "num_hidden_layers": 12, "num_attention_heads": 10, "intermediate_size": 2160,
        "memory_layers": [1, 3, 5, 7, 9],
    },
    "1.5b": {
        "hidden_size": 2048, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 6400,
        "memory_layers": [3, 7, 11, 15, 19],
    },
}  # fmt: skip

T = TypeVar("T", bound="TitanFields")


class BadField(ValueError):
    """A field that does not go together with the others."""

    def __init__(self, field: str, message: str, next_step: str) -> None:
        super().__init__(message)
        self.field, self.next_step = field, next_step


@dataclass(kw_only=True)
class TitanFields:
    vocab_size: int = 32_000
    hidden_size: int = 216
    num_hidden_layers: int = 11
    num_attention_heads: int = 4
    intermediate_size: int = 2_048
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10_000.0
    initializer_range: float | None = None  # None: 1/sqrt(fan-in) for each matrix

    sliding_window: int | None = 256  # tokens a token sees, itself included; None: all earlier ones
    persistent_tokens: int = 134  # learned tokens every query sees, wherever it stands; 0: none

    memory: bool = True
    memory_layers: list[int] | None = None  # which layers hold a long-term memory; None: every second one
    memory_slots: int = 2_048  # capacity; beyond it the weakest entries are forgotten
    memory_chunk: int = 64  # entries become readable at the next multiple of this; at most the window
    memory_init_slots: int = 216  # learned entries that are never forgotten
    memory_write: str = "surprise_novelty"  # what decides who stays: or "fifo", or "random" (for comparison)
    memory_momentum: bool = True
    memory_decay: bool = True

    act: bool = True
    act_steps_train: int = 8
    act_steps_infer: int = 2
    act_threshold: float = 0.95  # a token halts once its halting probabilities sum to this (Graves: 1 - epsilon)
    act_rank: int = 46
    ponder_weight: float = 0.01  # price in nats of one more step (Graves' ponder cost N + R)

    recursion: bool = True
    recursion_cycles: int = 1  # TRM's T: updates of the answer y in a step; all but the last carry no gradient
    recursion_inner: int = 1  # TRM's n: updates of the latent z before y is updated
    deep_supervision: float = 0.5  # weight of the mean loss over the single steps' answers

    def __post_init__(self) -> None:
        if self.memory_layers is None:
            self.memory_layers = list(range(1, self.num_hidden_layers, 2))
        self.check()

    @classmethod
    def preset(cls: type[T], name: str, **overrides: Any) -> T:
        """A named size: tiny, small, full, 50m, 100m or 1.5b, with single fields replaced."""
        if name not in PRESETS:
            raise ValueError(f"no preset {name!r}; there are {', '.join(PRESETS)}")
        return cls(**{**PRESETS[name], **overrides})

    def check(self) -> None:
        if self.hidden_size % (2 * self.num_attention_heads):
            message = "hidden_size must be a multiple of twice num_attention_heads (rotary pairs)"
            raise BadField("hidden_size", message, f"Take a multiple of {2 * self.num_attention_heads}.")
        if self.memory_write not in ("surprise_novelty", "fifo", "random"):
            message = f"memory_write: {self.memory_write!r} is not surprise_novelty, fifo or random"
            raise BadField("memory_write", message, "Take one of the three.")
        if not 1 <= self.act_steps_infer <= self.act_steps_train:
            message = f"act_steps_infer ({self.act_steps_infer}) must be between 1 and act_steps_train"
            raise BadField("act_steps_infer", message, f"Take 1 to {self.act_steps_train}.")
        if self.memory:
            self._check_memory()

    def _check_memory(self) -> None:
        if self.sliding_window is not None and self.memory_chunk > self.sliding_window:
            message = (
                f"memory_chunk ({self.memory_chunk}) above sliding_window ({self.sliding_window}) would leave "
                "tokens that nothing can see"
            )
            raise BadField("memory_chunk", message, f"Take {self.sliding_window} or less, or a wider window.")
        layers = self.memory_layers or []
        if not layers:
            raise BadField("memory_layers", "memory is on, and no layer holds one", "Name one, or switch it off.")
        absent = [layer for layer in layers if not 0 <= layer < self.num_hidden_layers]
        if absent or len(set(layers)) < len(layers):
            message = f"memory_layers {layers}: there are layers 0 to {self.num_hidden_layers - 1}, each once"
            raise BadField("memory_layers", message, "Name layers that there are, or switch memory off.")
