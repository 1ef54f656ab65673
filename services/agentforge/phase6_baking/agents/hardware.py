"""HardwareAdapter: what this machine has, and which engines of ours compute on it."""

from __future__ import annotations

import os
import platform

import psutil
import torch

from agentforge.kit.agents.agent import Outcome, Task
from agentforge.kit.digests import canonical_json
from agentforge.models.ternary.kernels import chosen
from agentforge.models.ternary.linear import ternary_layers
from agentforge.phase6_baking.start import Start
from agentforge.train.engine import TORCH


def adapt(start: Start, task: Task) -> Outcome:
    ternary = bool(ternary_layers(start.model))
    cores = len(os.sched_getaffinity(0))
    told = {
        "machine": platform.machine(), "cores": cores, "memory_mb": psutil.virtual_memory().total >> 20,
        "cpu": torch.backends.cpu.get_cpu_capability(), "gpus": torch.cuda.device_count(),
        # More threads than a layer has rows of work for only wait for each other.
        "threads": min(cores, max(1, _widest(start) // 256)),
        "engines": [TORCH, *([f"kernel/{chosen()}"] if ternary and chosen() != TORCH else [])],
    }  # fmt: skip
    (task.directory / "hardware.json").write_bytes(canonical_json(told))
    return Outcome(facts={name: told[name] for name in ("machine", "cores", "threads", "engines")})


def _widest(start: Start) -> int:
    return max(layer.out_features for layer in start.model.modules() if isinstance(layer, torch.nn.Linear))
