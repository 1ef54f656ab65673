"""The phases of Agent Forge, in order. A phase that is not built is not in this list."""

from pathlib import Path

from agentforge.kit.phase import Pipeline

PIPELINE = Pipeline(
    "agentforge.phase1_cognate.config:PHASE",
    "agentforge.phase2_evomerge.config:PHASE",
    "agentforge.phase3_quietstar.config:PHASE",
    "agentforge.phase4_bitnet.config:PHASE",
    "agentforge.phase5_training.config:PHASE",
    "agentforge.phase6_baking.config:PHASE",
    "agentforge.phase7_adas.config:PHASE",
    "agentforge.phase8_compression.config:PHASE",
    presets=Path(__file__).parent / "presets",
)
