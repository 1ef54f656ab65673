"""Readers of a run's event log that tell others: Weights & Biases, OpenTelemetry. And sweeps over configs.

Nothing here is on the way of a run. What tells others runs in a process of its own: it may hang, fail, be killed.
"""

from agentforge.track.loggers import PhaseLogger
from agentforge.track.pipeline_logger import PipelineLogger

__all__ = ["PhaseLogger", "PipelineLogger"]
