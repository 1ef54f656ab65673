"""What a FAILED state says of exceptions that are no ForgeError."""

from __future__ import annotations

import torch

from agentforge.kit.failures import told


def test_torch_without_memory_says_what_to_make_smaller() -> None:
    try:
        torch.empty(1 << 55)
    except RuntimeError as error:
        failure = told(error)
    assert (failure.reason, failure.exit_code) == ("OUT_OF_MEMORY", 1)
    assert "batch" in failure.next_step
