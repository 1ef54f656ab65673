"""The motion language model's whole rollout as one ONNX file: words in, tokens out. Seconds on one core.

python -m agentforge.phase7_adas.drive.prediction.export --out DIR [--weights motion_lm.npz]

What is constant is computed here: the turning of queries and keys by their place is in the weights of each step,
and which tokens each rollout may see is a mask, so that all rollouts of a track are read by one product.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import platform
import sys
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from agentforge.kit.errors import RunFailed
from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.prediction.context import SIZES, STARTS, WORDS
from agentforge.phase7_adas.drive.prediction.rollout import HEADS, ROLLOUTS, WEIGHTS, Layer, MotionLM, draws
from agentforge.phase7_adas.drive.prediction.speaker import Speaker
from agentforge.phase7_adas.drive.prediction.tokens import MOTIONS, TOKENS
from agentforge.phase7_adas.drive.truth import Ints

OPSET: Final = 20
SAME: Final = 0.999
"""Part of tokens that must be those of numpy: a draw at the edge of two tokens may fall either way by rounding."""
PARITY_TRACKS: Final = 400
EXPONENT: Final = 80.0


class _Block(nn.Module):
    def __init__(self, layer: Layer, cos: Tensor, sin: Tensor) -> None:
        """`cos` and `sin` by place, of words and of all tokens but the last."""
        super().__init__()
        self.wide = layer.o.shape[0] // HEADS
        self.attention_norm, self.mlp_norm = (
            nn.Parameter(_t(layer.attention_norm)),
            nn.Parameter(_t(layer.mlp_norm)),
        )
        self.o, self.down = nn.Parameter(_t(layer.o)), nn.Parameter(_t(layer.down))
        self.gate, self.up = (nn.Parameter(one.contiguous()) for one in _t(layer.gate_up).chunk(2, dim=1))
        query, key, value = _t(layer.qkv).chunk(3, dim=1)
        query = query * self.wide**-0.5
        self.query, self.key, self.value = (nn.Parameter(one.contiguous()) for one in (query, key, value))
        self.cos, self.sin = nn.Parameter(cos[:WORDS]), nn.Parameter(sin[:WORDS])
        places = list(zip(cos[WORDS:], sin[WORDS:], strict=True))
        self.queries = nn.ParameterList(_turned_columns(query, *place) for place in places)
        self.keys = nn.ParameterList(_turned_columns(key, *place) for place in places)

    def read(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of the words: what comes out, keys (N, H, E, T) and values (N, H, T, E)."""
        normal = _normal(x) * self.attention_norm
        query, key = (self._turned(self._heads(normal @ one)) for one in (self.query, self.key))
        keys, values = key.transpose(2, 3), self._heads(normal @ self.value)
        return self._after(x, query, keys, values, seen), keys, values

    def speak(
        self, x: Tensor, at: int, keys: Tensor, values: Tensor, seen: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of one token of each rollout (N, R, D), with all keys and values so far."""
        normal = _normal(x) * self.attention_norm
        key = self._heads(normal @ self.keys[at]).transpose(2, 3)
        keys = torch.cat([keys, key], dim=3)
        values = torch.cat([values, self._heads(normal @ self.value)], dim=2)
        return self._after(x, self._heads(normal @ self.queries[at]), keys, values, seen), keys, values

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape(-1, int(x.shape[1]), HEADS, self.wide).transpose(1, 2)

    def _turned(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=-1)
        return torch.cat([left * self.cos - right * self.sin, right * self.cos + left * self.sin], dim=-1)

    def _after(self, x: Tensor, query: Tensor, keys: Tensor, values: Tensor, seen: Tensor) -> Tensor:
        """Softmax without its greatest taken away, which `greatest` shows to be safe: it cost half of
        the time. What is not seen counts nothing."""
        weight = torch.exp(query @ keys) * seen
        mixed = (weight @ values) / (weight @ torch.ones(seen.shape[1], 1))
        x = x + mixed.transpose(1, 2).reshape(-1, int(x.shape[1]), HEADS * self.wide) @ self.o
        normal = _normal(x) * self.mlp_norm
        gate = normal @ self.gate
        return x + (gate * torch.sigmoid(gate) * (normal @ self.up)) @ self.down


class Rollout(nn.Module):
    """words (N, WORDS) and draws (R, TOKENS) to tokens (N, R, TOKENS)."""

    def __init__(self, model: MotionLM, rollouts: int = ROLLOUTS) -> None:
        super().__init__()
        self.rollouts = rollouts
        self.embedding, self.head = nn.Parameter(_t(model.embedding)), nn.Parameter(_t(model.head))
        self.norm = nn.Parameter(_t(model.norm))
        cos, sin = (_t(one)[: WORDS + TOKENS - 1] for one in model.turning)
        self.blocks = nn.ModuleList(_Block(layer, cos, sin) for layer in model.layers)
        self.causal = nn.Parameter(torch.ones(WORDS, WORDS).tril())
        own = torch.eye(rollouts).repeat(1, TOKENS - 1)
        self.seen = nn.Parameter(torch.cat([torch.ones(rollouts, WORDS), own], dim=1))

    def forward(self, words: Tensor, drawn: Tensor) -> Tensor:
        x = nn.functional.embedding(words, self.embedding)
        past = []
        for block in self.blocks:
            x, keys, values = block.read(x, self.causal)  # type: ignore[operator]
            past.append((keys, values))
        chosen = [self._chosen(x[:, -1:], drawn[:, 0])]
        for at in range(TOKENS - 1):
            x = nn.functional.embedding(chosen[-1], self.embedding)
            seen = self.seen[:, : WORDS + self.rollouts * (at + 1)]
            for number, block in enumerate(self.blocks):
                x, *now = block.speak(x, at, *past[number], seen)  # type: ignore[operator]
                past[number] = (now[0], now[1])
            chosen.append(self._chosen(x, drawn[:, at + 1]))
        return torch.stack(chosen, dim=2)

    def _chosen(self, x: Tensor, drawn: Tensor) -> Tensor:
        total = torch.exp((_normal(x) * self.norm) @ self.head).cumsum(dim=-1)
        below = (total < drawn[:, None] * total[..., -1:]).to(torch.float32) @ torch.ones(MOTIONS, 1)
        return below.squeeze(-1).clamp(max=MOTIONS - 1.0).to(torch.int64)


def _t(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32))


def _normal(x: Tensor) -> Tensor:
    return x / torch.sqrt(x.pow(2).mean(dim=-1, keepdim=True) + 1e-6)


def _turned_columns(weight: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Weights of queries or keys, each head's pairs turned as by a place."""
    left, right = weight.reshape(weight.shape[0], HEADS, 2, -1).unbind(dim=2)
    return torch.stack([left * cos - right * sin, right * cos + left * sin], dim=2).reshape(weight.shape)


def exported(model: MotionLM) -> bytes:
    """Raises where the file says something else than numpy does."""
    import onnx

    bound = greatest(model)
    if bound > EXPONENT:
        raise RunFailed(
            f"scores up to {bound:.0f} are possible; exp takes {EXPONENT:.0f} without overflow",
            reason="PARITY_LOST",
            next_step="Train with more weight decay, or take the greatest score away before exp.",
        )
    rollout = Rollout(model).eval()
    given = torch.from_numpy(some_words(3)), torch.from_numpy(draws(ROLLOUTS).copy())
    file: Any = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            rollout, given, file, dynamo=False, opset_version=OPSET, input_names=["words", "draws"],
            output_names=["tokens"], dynamic_axes={"words": {0: "tracks"}, "tokens": {0: "tracks"}},
        )  # fmt: skip
    made = onnx.load_model_from_string(file.getvalue())
    onnx.checker.check_model(made, full_check=True)
    whole: bytes = made.SerializeToString()
    same = agreement(model, whole)
    if same < SAME:
        raise RunFailed(
            f"{same:.4f} of the exported model's tokens are those of numpy; {SAME} is the least",
            reason="PARITY_LOST",
            next_step="Another onnxruntime or torch may have changed an operator: see the versions in the sidecar.",
        )
    return whole


def greatest(model: MotionLM) -> float:
    """No score of attention and no logit is larger, whatever the words: by the weights' singular values."""
    length = float(np.sqrt(model.size))  # of what was normalised
    bounds = [length * float(np.linalg.norm(model.norm[:, None] * model.head, axis=0).max())]
    for layer in model.layers:
        query, key, _ = np.split(layer.attention_norm[:, None] * layer.qkv, 3, axis=1)
        for head in range(HEADS):
            of = slice(head * model.size // HEADS, (head + 1) * model.size // HEADS)
            sizes = [length * float(np.linalg.norm(each[:, of], 2)) for each in (query, key)]
            bounds.append(sizes[0] * sizes[1] / float(np.sqrt(model.size // HEADS)))
    return max(bounds)


def agreement(model: MotionLM, made: bytes) -> float:
    """Part of rollouts' tokens, up to each rollout's first difference, that both choose alike."""
    words, drawn = some_words(PARITY_TRACKS), draws(ROLLOUTS)
    ours, theirs = model.sample(words, drawn), Speaker(made).sample(words, drawn)
    same = np.cumprod(ours == theirs, axis=2)
    differs = (same[..., -1] == 0).sum()
    return float(same.sum() / (same.sum() + differs))


def some_words(many: int) -> Ints:
    rng = Rng(0, "adas/drive/prediction/parity").numpy()
    return np.asarray(STARTS + np.stack([rng.integers(0, size, many) for size in SIZES], axis=1), dtype=np.int64)


def write(weights: Path, onnx_file: Path) -> dict[str, Any]:
    """The file, and a json of the same name that holds its digest and what it was made of."""
    model = MotionLM.load(weights)
    made = exported(model)
    known = {
        "sha256": hashlib.sha256(made).hexdigest(),
        "bytes": len(made),
        "opset": OPSET,
        "made_by": "agentforge.phase7_adas.drive.prediction.export",
        "made_of": {"file": weights.name, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()},
        "rollouts": ROLLOUTS,
        "tokens_like_numpy": agreement(model, made),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }
    onnx_file.parent.mkdir(parents=True, exist_ok=True)
    onnx_file.write_bytes(made)
    onnx_file.with_suffix(".json").write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
    return known


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    asked = parser.parse_args(arguments)
    known = write(asked.weights, asked.out / "motion_lm.onnx")
    sys.stdout.write(f"{asked.out}/motion_lm.onnx: {known['bytes']} bytes, {known['sha256']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
