"""For any phase: each measurement that was made at several steps, as a line."""

from __future__ import annotations

import re

from agentforge_gateway.dash.figures.figure import Figure, Source, layout, line

_MOST = 12


def over_steps(source: Source) -> list[Figure]:
    history = source.history
    found = []
    for name, points in sorted(history.series.items()):
        if len(points) > 1 and points[-1].step is not None:
            caption = f"{name}, {history.methods[name]}; {len(points)} points, the last {points[-1].value:.4g}."
            plot = {"data": [line(name, points)], "layout": layout("step", history.units[name])}
            found.append(Figure(key_of(name), name.partition("/")[2] or name, caption, plot))
    return found[:_MOST]


def key_of(name: str) -> str:
    """An element's id."""
    return "figure-" + re.sub(r"[^A-Za-z0-9]+", "-", name)
