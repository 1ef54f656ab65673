"""Adapters as others bring them: made and saved by PEFT itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import torch

from agentforge.train.loading import load_model

TARGETS = ("q_proj", "v_proj", "down_proj")


def brought(base: Path, place: Path, seed: int = 0, **settings: Any) -> Path:
    """A LoRA adapter of `base` whose factors are all drawn, so that it changes every layer of its targets."""
    given = {"r": 4, "lora_alpha": 8, "target_modules": list(TARGETS), "task_type": "CAUSAL_LM", **settings}
    model: Any = peft.get_peft_model(load_model(base).model, peft.LoraConfig(**given))
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in sorted(model.named_parameters()):
        if "lora_A" in name or "lora_B" in name or "lora_embedding" in name:
            tensor.data = (torch.randn(tensor.shape, generator=generator) * 0.1).to(tensor)
    model.save_pretrained(place, save_embedding_layers=False)
    return place
