"""Cognate: how the trunk and the specialists learn, and who answers what in the end."""

from __future__ import annotations

import re

from agentforge_gateway.dash.figures.figure import Figure, Source, layout
from agentforge_gateway.dash.figures.lines import together


def figures(source: Source) -> list[Figure]:
    said = "Mean training loss in nats, trunk and specialists, each over its own steps."
    return [
        *together(source, "loss", "Loss", r"cognate/(\w+)/loss", said),
        *together(
            source, "selection-loss", "Loss on the selection split", r"cognate/(\w+)/selection_loss",
            "Nats on items that no step has seen; the best step is kept.",
        ),
        *_accuracy(source),
        *together(
            source, "tokens", "Speed", r"cognate/(\w+)/tokens_per_second", "Tokens a second, events included."
        ),
    ]  # fmt: skip


def _accuracy(source: Source) -> list[Figure]:
    """Model by family, on the test split."""
    found = {}
    for name, points in source.history.series.items():
        match = re.fullmatch(r"cognate/(\w+)/accuracy/(\w+)", name)
        if match:
            found[match[1], match[2]] = points[-1]
    if not found:
        return []
    models, families = (sorted({key[i] for key in found}) for i in (0, 1))
    cells = [[found.get((model, family)) for family in families] for model in models]
    z = [[cell.value if cell else None for cell in row] for row in cells]
    text = [[f"{cell.value:.2f}" if cell else "" for cell in row] for row in cells]
    heat = {
        "type": "heatmap", "x": families, "y": models, "z": z, "text": text, "texttemplate": "%{text}",
        "zmin": 0, "zmax": 1, "colorscale": "Cividis",
    }  # fmt: skip
    said = "; ".join(f"{model} {family} {point.value:.2f}" for (model, family), point in sorted(found.items()))
    caption = f"Share of held-out items answered exactly, model by family: {said}."
    return [Figure("accuracy", "Who answers what", caption, {"data": [heat], "layout": layout("family", "")})]
