"""The driving pipeline's scene from above: what is there, what it believes, where it means to go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from agentforge_gateway.dash.figures.figure import Figure, Source, layout

_COLOURS = {"vehicle": "#5b8def", "cyclist": "#2fa36b", "pedestrian": "#d9822b", "obstacle": "#8a8a8a"}
_EGO = "#7a4fd0"


def scene(source: Source) -> list[Figure]:
    """The newest that was told."""
    told = source.sample("adas/drive/scene")
    if not told:
        return []
    traces = [
        *(_line(lane, "lanes", "#9aa3ad", dash="dot") for lane in told["lanes"]),
        *(_box(one["corners"], one["kind"], _COLOURS.get(one["kind"], "#8a8a8a")) for one in told["others"]),
        _box(told["ego"], "ego", _EGO),
        _points(told["tracks"], "tracks"),
        _line(told["plan"], "plan", _EGO),
    ]
    faults = f"; told: {', '.join(told['faults'])}" if told["faults"] else ""
    caption = (
        f"{told['scenario']} after {told['t_s']:g} s, from above, the ego's way up: mode {told['mode']}, "
        f"{told['speed_mps']:g} m/s, {len(told['others'])} around it, {len(told['tracks'])} tracked{faults}."
    )
    axes = layout("m to the right", "m ahead", showlegend=False)
    axes["yaxis"] |= {"scaleanchor": "x", "range": [-20, 70]}
    return [Figure("scene", "The scene from above", caption, {"data": traces, "layout": axes})]


def _seen(points: Iterable[Sequence[float]]) -> dict[str, list[float]]:
    """Ahead is up, and left is left."""
    pairs = list(points)
    return {"x": [-y for _, y in pairs], "y": [x for x, _ in pairs]}


def _box(corners: Sequence[Sequence[float]], name: str, colour: str) -> dict[str, Any]:
    closed = [*corners, corners[0]]
    return {"type": "scatter", "mode": "lines", "fill": "toself", "name": name, "hoverinfo": "name",
            "line": {"color": colour}, **_seen(closed)}  # fmt: skip


def _line(points: Sequence[Sequence[float]], name: str, colour: str, dash: str = "solid") -> dict[str, Any]:
    return {"type": "scatter", "mode": "lines", "name": name, "hoverinfo": "skip",
            "line": {"color": colour, "dash": dash}, **_seen(points)}  # fmt: skip


def _points(points: Sequence[Sequence[float]], name: str) -> dict[str, Any]:
    return {"type": "scatter", "mode": "markers", "name": name, "hoverinfo": "name",
            "marker": {"symbol": "x", "size": 9, "color": "#c0392b"}, **_seen(points)}  # fmt: skip
