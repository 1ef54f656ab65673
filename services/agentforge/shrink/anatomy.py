"""What of a model can be slimmed, and by which names: Titans, and models built like Llama."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from agentforge.kit.errors import InvalidInput
from agentforge.models import TitanForCausalLM
from agentforge.models.ternary.linear import BitLinear
from agentforge.models.ternary.packed_linear import PackedLinear

ATTENTION, MLP, MEMORY, EMBEDDINGS = "attention", "mlp", "memory", "embeddings"


@dataclass(frozen=True)
class Anatomy:
    """`gates` take the hidden state to MLP units, `down` takes these back."""

    titan: bool
    stem: str  # of a layer's name, before its number
    layers: int
    width: int  # MLP units
    gates: tuple[str, ...]
    down: str

    def layer(self, number: int) -> str:
        return f"{self.stem}{number}."

    def number(self, name: str) -> int | None:
        """Which layer a tensor is of; None: of none."""
        rest = name.removeprefix(self.stem)
        return int(rest.partition(".")[0]) if rest != name else None

    def group(self, name: str) -> str | None:
        """Of a matrix, for its precision; None: it stays as it is."""
        if "embed" in name or name.startswith("lm_head"):
            return EMBEDDINGS
        if ".memory." in name:
            return MEMORY
        if any(f".{part}." in name for part in (*self.gates, self.down)):
            return MLP
        return ATTENTION if self.number(name) is not None else None


def anatomy(model: Any) -> Anatomy:
    config = model.config
    packed = next((name for name, module in model.named_modules() if isinstance(module, PackedLinear)), None)
    if packed is not None:
        message = f"a packed model cannot be healed: {packed} has codes and no latents"
        step = "Give the model that it was packed from."
        raise InvalidInput(message, reason="NOT_SLIMMABLE", field=packed, next_step=step)
    if isinstance(model, TitanForCausalLM):
        return Anatomy(
            True, "layers.", config.num_hidden_layers, config.intermediate_size, ("gate", "up"), "mlp.down"
        )
    found = Anatomy(
        False, "model.layers.", getattr(config, "num_hidden_layers", 0),
        getattr(config, "intermediate_size", 0) or 0,
        ("gate_proj", "up_proj"), "mlp.down_proj",
    )  # fmt: skip
    missing = [
        name
        for layer in range(max(1, found.layers))
        for part in ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "self_attn")
        if (name := f"{found.layer(layer)}{part}") not in dict(model.named_modules())
    ]
    if missing:
        message = f"a {type(model).__name__} cannot be slimmed: it has no {missing[0]}"
        step = "Give a Titan, or a model whose layers are built like Llama's."
        raise InvalidInput(message, reason="NOT_SLIMMABLE", field=missing[0], next_step=step)
    return found


def matrices(model: nn.Module, parts: Anatomy) -> dict[str, list[str]]:
    """Plain weights that precision and sparsity are about, by group: embeddings, and projections of layers."""
    found: dict[str, list[str]] = {}
    for name, module in model.named_modules():
        plain = isinstance(module, nn.Linear | nn.Embedding) and not isinstance(module, BitLinear)
        group = parts.group(f"{name}.weight") if plain else None
        if group is None or name.endswith((".gates", ".router")) or _tied(model, name):
            continue
        found.setdefault(group, []).append(f"{name}.weight")
    return found


def _tied(model: nn.Module, name: str) -> bool:
    """A second name of one tensor."""
    return f"{name}.weight" not in dict(model.named_parameters())
