"""What a phase's page shows: one module for each phase, and lines over steps for any phase that has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agentforge_gateway.dash.figures import (
    adas,
    baking,
    bitnet,
    cognate,
    compression,
    evomerge,
    quietstar,
    training,
)
from agentforge_gateway.dash.figures.figure import Figure, Source
from agentforge_gateway.dash.figures.general import over_steps

Drawer = Callable[[Source], list[Figure]]

DRAWERS: Mapping[str, Drawer] = {
    "cognate": cognate.figures,
    "evomerge": evomerge.figures,
    "quietstar": quietstar.figures,
    "bitnet": bitnet.figures,
    "training": training.figures,
    "baking": baking.figures,
    "adas": adas.figures,
    "compression": compression.figures,
}


def figures_of(source: Source) -> list[Figure]:
    """Only of what was measured: a phase that has said nothing yet has none."""
    return DRAWERS.get(source.run.phase, over_steps)(source)
