"""What baking takes. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from agentforge.data.config import FamiliesConfig
from agentforge.kit.config import TeamConfig, Unfit
from agentforge.kit.phase import PhaseSpec, Slot
from agentforge.phase6_baking.configs.adapters import AdaptersConfig, LoraConfig
from agentforge.phase6_baking.configs.agents import AgentsConfig
from agentforge.phase6_baking.configs.bake import BakeConfig
from agentforge.phase6_baking.configs.cycles import CyclesConfig, EvaluationConfig, RoundConfig
from agentforge.phase6_baking.configs.following import FollowingConfig
from agentforge.phase6_baking.configs.persona import PersonaConfig
from agentforge.phase6_baking.configs.tools import ToolsConfig

_MANY = 1_000_000


class SkillsConfig(FamiliesConfig):
    """What the model can do, and is to be able to do afterwards: asked in the persona's manner, too."""

    length: int = Field(256, ge=8, le=_MANY, description="Most tokens of a prompt, a question and its answer.")


class BakingConfig(TeamConfig):
    data: SkillsConfig = Field(SkillsConfig(), description="Skills to keep, and how long a row may be.")
    tools: ToolsConfig = Field(ToolsConfig(), description="The A-cycle: which tools, how told of, on which tasks.")
    persona: PersonaConfig = Field(PersonaConfig(), description="The B-cycle: traits, their targets, guardrails.")
    following: FollowingConfig = Field(FollowingConfig(), description="Learning to follow the prompts.")
    bake: BakeConfig = Field(BakeConfig(), description="How a prompt goes into the weights.")
    train: RoundConfig = Field(RoundConfig(), description="The training of each round.")
    cycles: CyclesConfig = Field(CyclesConfig(), description="How tools and persona take turns.")
    adapters: AdaptersConfig = Field(AdaptersConfig(), description="How adapters that are given are merged in.")
    lora: LoraConfig | None = Field(
        None,
        description="An adapter beside the model is trained instead of its own weights; null: these are.",
    )
    agents: AgentsConfig = Field(
        AgentsConfig(), description="The nine agents: limits, and what helps a failed one."
    )
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="What is measured on held-out items.")

    @property
    def bakes(self) -> bool:
        """False: adapters are merged, and nothing is trained."""
        return self.cycles.most > 0

    @property
    def skills(self) -> dict[str, tuple[int, ...]]:
        return {name: self.data.difficulty(name) for name in self.data.families}

    @property
    def tool_tasks(self) -> dict[str, tuple[int, ...]]:
        return {name: self.tools.difficulty(name) for name in self.tools.families} if self.tools.on else {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.bakes and not self.tools.on and not self.persona.traits.wanted:
            step = "Name tools, give a trait a target, or set cycles.most to 0 to merge adapters only."
            raise Unfit("tools.names", "neither tools nor a persona are to be baked", next_step=step)
        for field, rows in {"train.batch": self.train.batch, "following.batch": self.following.batch}.items():
            if rows % self.processes:
                message = f"{rows:,} rows cannot be shared out evenly among {self.processes} processes"
                step = f"Set it to a multiple of {self.processes}, or change processes."
                raise Unfit(field, message, reason="UNEVEN_BATCH", next_step=step)
        return self


PHASE = PhaseSpec(
    name="baking",
    summary="Bakes tools and a persona into a model, which then does without the prompts; merges adapters.",
    config=BakingConfig,
    run="agentforge.phase6_baking.phase:run",
    check="agentforge.phase6_baking.admission:check",
    evidence="agentforge.phase6_baking.experiments:EXPERIMENTS",
    takes=(
        Slot("model", "model", description="A causal language model, ternary or plain; it stays what it is."),
        Slot("adapter", "adapter", 0, None, "PEFT adapters of it, merged in before anything is baked."),
    ),
    makes=(Slot("model", "model", description="The agent: model, tools, persona and how to run it."),),
    stands_on=("agentforge.models", "agentforge.data", "agentforge.train", "agentforge.tools"),
)
