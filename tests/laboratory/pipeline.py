from pathlib import Path

from agentforge.kit.config import PhaseConfig
from agentforge.kit.phase import PhaseSpec, Pipeline


def run(context, config):
    raise AssertionError("nobody runs this phase")


LAB = PhaseSpec(
    "lab",
    "Throws dice.",
    PhaseConfig,
    f"{__name__}:run",
    stands_on=(),
    evidence=f"{__package__}.experiments:EXPERIMENTS",
)
BARE = PhaseSpec("bare", "Claims nothing.", PhaseConfig, f"{__name__}:run", stands_on=())
PIPELINE = Pipeline(f"{__name__}:LAB", f"{__name__}:BARE", presets=Path(__file__).parent / "presets")
