"""The phases of Agent Forge, in order. A phase that is not built is not in this list."""

from pathlib import Path

from agentforge.kit.phase import Pipeline

PIPELINE = Pipeline(
    cognate="agentforge.phase1_cognate.config:PHASE",
    evomerge="agentforge.phase2_evomerge.config:PHASE",
    quietstar="agentforge.phase3_quietstar.config:PHASE",
    bitnet="agentforge.phase4_bitnet.config:PHASE",
    training="agentforge.phase5_training.config:PHASE",
    baking="agentforge.phase6_baking.config:PHASE",
    adas="agentforge.phase7_adas.config:PHASE",
    compression="agentforge.phase8_compression.config:PHASE",
    presets=Path(__file__).parent / "presets",
)
