"""Quiet-STaR: what thoughts cost and gain while they are learned, and the model with them and without."""

from __future__ import annotations

from agentforge_gateway.dash.figures.figure import Figure, Source, bars, layout, values
from agentforge_gateway.dash.figures.lines import together


def figures(source: Source) -> list[Figure]:
    return [
        *together(
            source, "gain", "What a thought gains", r"quietstar/(gain)",
            "Nats that thoughts take off the tokens after them, mean over training batches.",
        ),
        *together(
            source, "coherence", "Coherence", r"quietstar/thought_coherence_(avg|min)",
            "The seeds' four parts, of the thoughts of a step.",
        ),
        *together(
            source, "losses", "Losses", r"quietstar/loss/(\w+)", "In training: of the text, and of what is ahead."
        ),
        *together(
            source, "mixing", "Mixing", r"quietstar/(mixing_weight_alpha|thoughts_filtered)",
            "Weight that the head gives to thoughts, and the share of thoughts that was dropped.",
        ),
        *_compared(source, "hard-loss", "Loss on hard tokens", "hard_loss"),
        *_compared(source, "loss-kinds", "Loss", "loss"),
    ]  # fmt: skip


def _compared(source: Source, key: str, title: str, what: str) -> list[Figure]:
    found = values(source.history, rf"quietstar/(\w+)/{what}")
    if not found:
        return []
    said = ", ".join(f"{who} {point.value:.3f}" for who, point in found.items())
    caption = f"Nats on the test split, with thoughts and without: {said}."
    return [Figure(key, title, caption, {"data": [bars(what, found)], "layout": layout("", "nat")})]
