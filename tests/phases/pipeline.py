"""The test pipeline: AGENTFORGE_PIPELINE=tests.phases.pipeline, with the repository's root on PYTHONPATH."""

from pathlib import Path

from agentforge.kit.phase import Pipeline

PIPELINE = Pipeline(
    "tests.phases.echo:SPEC",
    "tests.phases.count:SPEC",
    "tests.phases.fail:SPEC",
    "tests.phases.leak:SPEC",
    presets=Path(__file__).parent / "presets",
)
