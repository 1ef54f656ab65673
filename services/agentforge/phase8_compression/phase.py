"""The story of phase 8 is told by its orchestrator; here only the machine is settled and the model read."""

from __future__ import annotations

from agentforge.kit.context import PhaseContext
from agentforge.phase8_compression.agents.orchestrator import orchestrate
from agentforge.phase8_compression.config import CompressionConfig
from agentforge.phase8_compression.start import load_start
from agentforge.train.machine import settled


def run(context: PhaseContext, config: CompressionConfig) -> None:
    with settled(config.machine):
        start = load_start(context.inputs.one("model"), config)
        orchestrate(context, start)
