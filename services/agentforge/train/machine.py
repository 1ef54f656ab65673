"""What the machine must be told so that the same run gives the same bytes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch

from agentforge.kit import ranks
from agentforge.train.config import TrainConfig

filling: Any = torch.utils.deterministic  # a module that is an object at run time


def device() -> torch.device:
    """This process's GPU, or the CPU where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def settled(config: TrainConfig) -> Iterator[None]:
    """Threads (how sums are cut depends on them) and algorithms as the config says; as they were, afterwards."""
    before = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        filling.fill_uninitialized_memory,
    )
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    cores = max(1, len(os.sched_getaffinity(0)) // ranks.current().local_world)
    torch.set_num_threads(config.threads or cores)
    torch.use_deterministic_algorithms(config.deterministic)
    filling.fill_uninitialized_memory = False  # costs time; nothing of ours reads such memory
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        filling.fill_uninitialized_memory = before[2]
