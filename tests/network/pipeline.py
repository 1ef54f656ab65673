"""One small phase that several processes work on: AGENTFORGE_PIPELINE=tests.network.pipeline."""

from pathlib import Path

from agentforge.kit.phase import Pipeline

PIPELINE = Pipeline("tests.phases.team:SPEC", presets=Path(__file__).parent)
