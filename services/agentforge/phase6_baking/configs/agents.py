"""What the nine agents may use. Free of torch: a service validates it."""

from __future__ import annotations

from pydantic import Field

from agentforge.kit.config import StrictModel


class AgentsConfig(StrictModel):
    deadline_s: float = Field(
        300.0, gt=0, le=1e6, description="Seconds that an agent beside the training may take."
    )
    memory_mb: int = Field(4_096, ge=64, le=10_000_000, description="MiB that agents at work may take together.")
    retries: int = Field(2, ge=0, le=100, description="How often a failed agent is tried again.")
    wait_s: float = Field(
        0.2, ge=0, le=3_600, description="Seconds before the first retry; each waits twice as long."
    )
    breaker: int = Field(
        5, ge=1, le=1_000, description="Failures in a row after which an agent is not asked again."
    )
