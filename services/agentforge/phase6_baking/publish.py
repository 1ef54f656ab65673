"""The agent as a directory: model, tools, persona, card, and how its nine makers fared."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentforge.kit.agents.report import GraphReport
from agentforge.kit.config import resolved
from agentforge.kit.context import PhaseContext
from agentforge.kit.digests import canonical_json
from agentforge.models.ternary import record
from agentforge.models.ternary.linear import ternary_layers
from agentforge.models.thoughts.saving import HABITS, HEAD
from agentforge.phase6_baking.adapters import lora
from agentforge.phase6_baking.agents.example import QUESTION
from agentforge.phase6_baking.judging import BAKED, INPUT, PROMPTED
from agentforge.phase6_baking.start import Start
from agentforge.tools.saving import save_tools

SUMMARY, COORDINATION, RECOVERY = (
    "baking_summary.json", "agent_coordination_log.json", "error_recovery_log.json",
)  # fmt: skip
PERSONA = "persona.json"

_CARD = """\
---
library_name: transformers
tags: [agentforge, baking]
---
# baking

A language model with {what} baked in: it needs no prompt for it.{ternary}

On the test split, which had no part in training:

{table}

`prompted`: the model that learned to follow the prompts, with them. `baked`: this model, without. Tool accuracy:
share of questions answered rightly in the end, with tools at hand. Tokens: of a whole query, prompt and results
too.{removed}
{persona}
```
agentforge chat model --prompt "{question}"
```

{tools}training.json has settings, losses and all numbers; baking_summary.json what each of the nine agents found;
agent_coordination_log.json and error_recovery_log.json how they worked together, and what went wrong meanwhile.
"""
_TERNARY = """ {layers} of its large matrices compute with weights of -1, 0 and 1 times a scale:
model.safetensors has their full-precision latents, ternary.json how each is ternary and a digest of its codes."""
_TOOLS = """tools.json has the tools as MCP describes them. The model calls with `<|tool|>name(argument)<|/tool|>`;
whoever runs it puts `<|result|>…<|/result|>` behind, and lets it go on. """
_COLUMNS = {
    "valid_calls": "valid calls", "tool_accuracy": "tool accuracy", "skill_accuracy": "skills",
    "tokens_per_query": "tokens", "bits_per_byte": "text, bits per byte",
}  # fmt: skip
_SCORES = ("helpfulness_score", "creativity_score", "precision_score", "persona_coherence")


def write(directory: Path, start: Start, baked: Any, told: Mapping[str, Any], rounds: Mapping[str, Any]) -> None:
    """No times in it: the same run gives the same bytes. `told`: what the other agents found, by file."""
    save_model(directory, start, baked)
    config, quality = start.config, told["quality.json"]
    training = {"config": resolved(config), **rounds, "test": quality}
    (directory / "training.json").write_bytes(
        canonical_json({"training": training, "tokenizer": start.codec.digest})
    )
    found = {name.removesuffix(".json"): values for name, values in told.items() if name != "quality.json"}
    (directory / SUMMARY).write_bytes(canonical_json({"agents": found, "measured": quality}))
    if start.toolbox is not None:
        save_tools(
            directory, start.toolbox, plugins=config.tools.plugins, calls=config.tools.calls,
            prompt=start.prompts.tools,
        )  # fmt: skip
    if start.manner is not None:
        persona = {"traits": config.persona.traits.targets, "prompt": start.prompts.persona}
        (directory / PERSONA).write_bytes(canonical_json(persona))
    (directory / "README.md").write_text(_card(start, baked, quality))


def save_model(directory: Path, start: Start, model: Any) -> None:
    if start.config.lora is not None:
        lora.save(directory, model)
    elif ternary_layers(model):
        record.save(directory, model)
    else:
        model.save_pretrained(directory)
    start.codec.tokenizer.save_pretrained(directory)
    if (start.directory / HABITS).is_file():
        for name in (HABITS, HEAD):
            shutil.copyfile(start.directory / name, directory / name)


def publish(context: PhaseContext, report: GraphReport) -> None:
    """The directory as DeploymentPreparer left it, and the logs of all nine."""
    if "model" in context.published:
        return
    with context.output("model") as directory:
        shutil.copytree(report.outputs["agent"], directory, dirs_exist_ok=True)
        for name, told in {COORDINATION: report.coordination(), RECOVERY: report.recovery()}.items():
            (directory / name).write_bytes(canonical_json(told["content"]))


def _card(start: Start, baked: Any, quality: Mapping[str, float]) -> str:
    layers = len(ternary_layers(baked))
    names = [spec.name for spec in start.toolbox.specs] if start.toolbox else []
    what = [f"tools ({', '.join(names)})"] if names else []
    what += ["a persona"] if start.manner else []
    return _CARD.format(
        what=" and ".join(what), ternary=_TERNARY.format(layers=layers) if layers else "", table=_table(quality),
        removed=_removed(quality), persona=_persona(start, quality), question=QUESTION,
        tools=_TOOLS if names else "",
    )  # fmt: skip


def _table(quality: Mapping[str, float]) -> str:
    columns = {name: title for name, title in _COLUMNS.items() if f"{BAKED}/{name}" in quality}
    lines = [f"| | {' | '.join(columns.values())} |", "|---" * (len(columns) + 1) + "|"]
    for who in (INPUT, PROMPTED, BAKED):
        cells = [quality.get(f"{who}/{name}") for name in columns]
        lines.append(
            f"| {who} | {' | '.join('not measured' if cell is None else f'{cell:.3g}' for cell in cells)} |"
        )
    return "\n".join(lines)


def _removed(quality: Mapping[str, float]) -> str:
    share = quality.get("kl_removed")
    told = "" if share is None else f"{share:.1%} of the KL to the model with its prompts is gone. "
    return f"\n{told}Off-task text: cross-entropy {quality['off_task_ce']:+.1%}."


def _persona(start: Start, quality: Mapping[str, float]) -> str:
    if start.manner is None:
        return ""
    targets = {**start.config.persona.traits.targets, "persona_coherence": start.config.persona.coherence}
    lines = [
        "",
        "| persona | input | prompted | baked | under adversarial prompts | least |",
        "|---|---|---|---|---|---|",
    ]
    for name in _SCORES:
        cells = [
            quality.get(key)
            for key in (*(f"{who}/{name}" for who in (INPUT, PROMPTED, BAKED)), f"{BAKED}/adversarial/{name}")
        ]
        least = targets[name if name == "persona_coherence" else name.removesuffix("_score")]
        shown = ["not measured" if cell is None else f"{cell:.3g}" for cell in cells]
        lines.append(f"| {name} | {' | '.join(shown)} | {least:g} |")
    return "\n".join([*lines, ""])
