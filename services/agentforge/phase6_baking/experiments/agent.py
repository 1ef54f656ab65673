"""Tools and persona in the pipeline's own model: what a minute of both reaches, and what longer runs do.

The input is what the pipeline gives: cognate, evomerge and bitnet with their tiny presets. Everybody is asked the
same held-out questions: the input, the model that was taught to follow prompts with them, the baked one without.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, at_most, stated
from agentforge.kit.whole_run import pipeline_model, run_phase

SEEDS = (42, 1337, 2023)
PRESET, LONG = "preset", "long"
TEST_ITEMS = 100  # of each family, or all that there are
VALID, BEHIND, LOST, REMOVED, DRIFT = 0.95, 0.02, 0.02, 0.90, 0.01  # the bars
EVERYBODY, BOTH = ("input", "prompted", "baked"), ("prompted", "baked")
OTHERWISE = "held_out_description"
TRAITS = {"helpfulness_score": 0.9, "creativity_score": 0.7, "precision_score": 0.8, "persona_coherence": 0.88}
_ASKED = [f"evaluation.test_items={TEST_ITEMS}", "evaluation.dialogues=8"]
_ALONE = ["following.threads=1", "train.threads=1", *_ASKED]
_PERSONA = ["persona.traits.helpfulness.target=0.9", "persona.traits.precision.target=0.8"]
# A minute with a persona in it, and what a minute does not hold: questions put in several ways, and time to learn.
SETTINGS = {
    PRESET: [
        *_ALONE, *_PERSONA, "following.steps=200", "following.plain=0.4", "following.muon_lr=0.02",
        "train.steps=25", "cycles.questions=192",
    ],
    LONG: [
        *_ALONE, *_PERSONA, "persona.traits.creativity.target=0.7", "following.batch=32", "following.steps=1800",
        "following.skills=2", "following.plain=0.7", "following.muon_lr=0.015", "following.ways=several",
        "train.steps=150", "cycles.questions=1536",
    ],
}  # fmt: skip
LENGTHS = {PRESET: "a minute, 200 and twice 25 steps", LONG: "1,800 steps of following, 150 of each round, 32 rows"}


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    with TemporaryDirectory(prefix="af-agent-") as scratch:
        model = pipeline_model(Path(scratch), seed)
        return {name: told(model, Path(scratch), seed, chosen) for name, chosen in SETTINGS.items()}


def told(model: Path, home: Path, seed: int, settings: Sequence[str]) -> dict[str, Any]:
    began = time.monotonic()
    line = run_phase("baking", home, [f"seed={seed}", *settings], inputs=[model])
    seconds = time.monotonic() - began
    numbers = {one["name"].removeprefix("baking/"): one["value"] for one in line["measurements"]}
    dropped = ("following/", "agent_completion/", "health/")
    return {"seconds": seconds, **{key: one for key, one in numbers.items() if not key.startswith(dropped)}}


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    return [
        row for name in (LONG, PRESET) for row in _of([results[str(seed)][name] for seed in SEEDS], LENGTHS[name])
    ]


def _of(every: Sequence[Mapping[str, float]], length: str) -> list[Row]:
    return [*tool_rows(every, length), *kept_rows(every, length), *_persona(every, length)]


def tool_rows(every: Sequence[Mapping[str, float]], length: str) -> list[Row]:
    method = f"{length}; test items of each tool's task, mean over tasks; no prompt"
    behind = [one["prompted/tool_accuracy"] - one["baked/tool_accuracy"] for one in every]
    return [
        at_least(f"Calls are valid without a prompt ({length})", VALID, _values(every, "baked/valid_calls"), "1",
                 method=method),
        *_stated(every, "valid calls", "{}/valid_calls", ("input", "prompted")),
        at_most(f"Tasks are answered as with the prompt, less two points at most ({length})", BEHIND, behind, "1",
                method=f"prompted less baked; {method}"),
        *_stated(every, "tasks answered rightly", "{}/tool_accuracy"),
        *_stated(every, "valid calls, tools told of in words never seen", f"{{}}/{OTHERWISE}/valid_calls", BOTH),
        *_stated(every, "the same, tasks answered rightly", f"{{}}/{OTHERWISE}/tool_accuracy", BOTH),
        *_stated(every, "tokens a query", "{}/tokens_per_query", BOTH),
    ]  # fmt: skip


def kept_rows(every: Sequence[Mapping[str, float]], length: str) -> list[Row]:
    lost = [one["input/skill_accuracy"] - one["baked/skill_accuracy"] for one in every]
    return [
        at_most(f"Other skills lose two points at most ({length})", LOST, lost, "1",
                method="mean over families, input less baked; tools are at hand"),
        *_stated(every, "skills", "{}/skill_accuracy"),
        at_least(f"Of the KL to the prompted teacher, nine tenths are removed ({length})", REMOVED,
                 _values(every, "kl_removed"), "1", method="1 - after / before, held-out questions"),
        at_most(f"Text off every task: cross-entropy rises by 1 % at most ({length})", DRIFT,
                _values(every, "off_task_ce"), "1", method="of the input's; Python docstrings of the test split"),
        stated("seconds of the whole phase, beside others", _values(every, "seconds"), "s"),
    ]  # fmt: skip


def _persona(every: Sequence[Mapping[str, float]], length: str) -> list[Row]:
    found = []
    for name, least in TRAITS.items():
        if any(f"baked/{name}" not in one for one in every):
            continue
        method = f"{length}; sampled replies to held-out questions, put as in training and otherwise"
        claim = f"{name} is at least the seeds' target ({length})"
        found.append(at_least(claim, least, _values(every, f"baked/{name}"), "1", method=method))
        found += _stated(every, name, f"{{}}/{name}", ("input", "prompted"))
        if f"baked/adversarial/{name}" in every[0]:
            found += _stated(every, f"{name}, asked by somebody who is against it", f"{{}}/adversarial/{name}")
    return found


def _stated(
    every: Sequence[Mapping[str, float]], what: str, name: str, who: Sequence[str] = EVERYBODY
) -> list[Row]:
    return [stated(f"{each}: {what}", _values(every, name.format(each)), "1") for each in who]


def _values(every: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [float(one[name]) for one in every]
