"""Trains the motion language model: the project's own Titan, very small. Needs torch; the loop does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from agentforge.kit.rng import Rng
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.phase7_adas.drive.prediction.context import VOCABULARY, WORDS
from agentforge.phase7_adas.drive.prediction.data import scenes
from agentforge.phase7_adas.drive.prediction.rollout import HEADS
from agentforge.phase7_adas.drive.prediction.rows import rows
from agentforge.phase7_adas.drive.truth import Ints

HIDDEN: Final = 48
LAYERS: Final = 2
STEPS: Final = 600
BATCH: Final = 192
SCENES: Final = 120
RATE: Final = 2e-3
WARM_UP: Final = 50
DECAY: Final = 0.1


def make(seed: int) -> TitanForCausalLM:
    """Short sequences need no memory, and four seconds no pondering: those mechanisms are off."""
    config = TitanConfig(
        vocab_size=VOCABULARY, hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=2 * HIDDEN, sliding_window=None, persistent_tokens=0, memory=False, act=False,
        recursion=False, deep_supervision=0.0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(Rng(seed, "adas/drive/prediction/weights").seed)
        return TitanForCausalLM(config)


def train(
    rows_NT: Ints, seed: int, *, steps: int = STEPS, watch: Callable[[int, float], None] | None = None
) -> TitanForCausalLM:
    """On rows of WORDS context tokens and the motion tokens that followed; only these are learned."""
    model = make(seed)
    model.train()
    matrices = [each for each in model.parameters() if each.ndim == 2]
    others = [each for each in model.parameters() if each.ndim != 2]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": DECAY},
        {"params": others, "weight_decay": 0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98))
    for step in range(steps):
        pick = Rng(seed, "adas/drive/prediction/batch", step).numpy().integers(0, len(rows_NT), BATCH)
        tokens = torch.from_numpy(rows_NT[pick])
        labels = tokens.clone()
        labels[:, :WORDS] = -100
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / WARM_UP) * (1.0 - step / steps)
        loss = model(input_ids=tokens, labels=labels, logits_to_keep=1).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if watch is not None:
            watch(step, float(loss.detach()))
    model.eval()  # type: ignore[no-untyped-call]
    return model


def learn(path: Path, *, many: int = SCENES, seed: int = 0) -> None:
    """Generates the scenes, trains and saves: what weights/motion_lm.npz was made by."""
    save(train(rows(scenes(0, many, learned=True)), seed), path)


def save(model: TitanForCausalLM, path: Path) -> None:
    """As half-precision numpy arrays, which the loop reads without torch."""
    state = {name: value.numpy().astype(np.float16) for name, value in model.state_dict().items()}
    state.pop("lm_head.weight", None)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **dict(sorted(state.items())))
