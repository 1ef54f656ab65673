"""Training: loss, how hard the tasks were made, and what was kept of old skills."""

from __future__ import annotations

from agentforge_gateway.dash.figures.figure import Figure, Source, bars, layout, values
from agentforge_gateway.dash.figures.lines import together

_PREFIX = r"(?:forge|training)"


def figures(source: Source) -> list[Figure]:
    return [
        *together(source, "loss", "Loss", rf"{_PREFIX}/(?:train/)?(loss|train_loss)", "Nats of training batches."),
        *together(
            source, "held-out", "Loss on held-out rows", rf"{_PREFIX}/(?!risen|forgotten)([\w/]*_loss)",
            "Nats on the selection split, by kind of row.",
        ),
        *together(
            source, "difficulty", "Difficulty", rf"{_PREFIX}/difficulty/(\w+)",
            "Mean difficulty of each family in the mix, as it is steered.",
        ),
        *together(
            source, "success", "Success", rf"{_PREFIX}/success/(\w+)",
            "Share of rows answered right; the edge of chaos is half.",
        ),
        *together(source, "stage", "Stages", rf"{_PREFIX}/(stage|curriculum_stage)", "Which one is at work."),
        *_accuracy(source),
    ]  # fmt: skip


def _accuracy(source: Source) -> list[Figure]:
    """By family, the model as it came beside the model as it goes."""
    traces, said = [], []
    for who in ("input", "trained"):
        found = values(source.history, rf"{_PREFIX}/{who}/accuracy/(\w+)")
        if found:
            traces.append(bars(who, found))
            said.append(f"{who} " + ", ".join(f"{name} {point.value:.2f}" for name, point in found.items()))
    if not traces:
        return []
    caption = f"Share of test items answered exactly: {'; '.join(said)}."
    plot = {"data": traces, "layout": layout("family", "accuracy", barmode="group")}
    return [Figure("accuracy", "Accuracy", caption, plot)]
