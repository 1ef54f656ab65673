"""Baking: scores of tools and persona, round by round, and what the agent holds without its prompt."""

from __future__ import annotations

from agentforge_gateway.dash.figures.figure import Figure, Source, bars, layout, values
from agentforge_gateway.dash.figures.lines import together


def figures(source: Source) -> list[Figure]:
    return [
        *together(
            source, "rounds", "Rounds", r"baking/(round_score)",
            "Score of tools, persona and skills after each round, on the selection split.", "round",
        ),
        *together(
            source, "taken", "Answers worth baking", r"baking/(\w+)/taken",
            "Share of the prompted model's answers that were right, and baked.", "round",
        ),
        *together(source, "loss", "Loss", r"baking/((?:\w+/)?\w*loss)", "In training, nats."),
        *_compared(source, "tool_accuracy", "Tasks of tools"),
        *_compared(source, "skill_accuracy", "Skills"),
        *_traits(source),
    ]  # fmt: skip


def _compared(source: Source, what: str, title: str) -> list[Figure]:
    found = values(source.history, rf"baking/(\w+)/{what}")
    if not found:
        return []
    said = ", ".join(f"{who} {point.value:.3f}" for who, point in found.items())
    caption = f"Share of held-out questions answered right: {said}; n = {next(iter(found.values())).n:,}."
    plot = {"data": [bars(what, found)], "layout": layout("", "accuracy")}
    return [Figure(what.replace("_", "-"), title, caption, plot)]


def _traits(source: Source) -> list[Figure]:
    found = values(source.history, r"baking/baked/(helpfulness|creativity|precision|coherence)")
    if not found:
        return []
    said = ", ".join(f"{name} {point.value:.2f}" for name, point in found.items())
    plot = {"data": [bars("traits", found)], "layout": layout("", "1")}
    return [Figure("traits", "Persona", f"Traits as measured on held-out contexts: {said}.", plot)]
