"""A figure, and what it is drawn from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentforge_gateway.dash.series import PhaseHistory, Point
from agentforge_gateway.models import PhaseRun

_MOST_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Figure:
    """`plot` is Plotly's {"data", "layout"}; `caption` says in words what is seen, by which method, of how many."""

    key: str  # element id: of letters, digits and "-"
    title: str
    caption: str
    plot: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """One phase of a run: its state, what it said, its directory, and its config."""

    run: PhaseRun
    history: PhaseHistory
    place: Path
    config: Mapping[str, Any] = field(default_factory=dict)  # what the phase was asked, its preset resolved

    def sample(self, name: str) -> Any:
        """The newest sample of the name; None where there is none."""
        data = [each["data"] for each in self.history.samples if each["name"] == name]
        return data[-1] if data else None

    def document(self, kind: str, name: str = "") -> Any:
        """The JSON of an output of this kind, or of the file `name` in it; None where there is none (yet)."""
        for artifact in self.run.outputs:
            if artifact.kind == kind:
                file = self.place / "output" / artifact.name
                return read_json(file / name if name else file)
        return None


def read_json(file: Path) -> Any:
    """None for what is no JSON of a size that a page can show."""
    try:
        return json.loads(file.read_bytes()) if file.stat().st_size <= _MOST_BYTES else None
    except (OSError, ValueError):
        return None


def values(history: PhaseHistory, pattern: str) -> dict[str, Point]:
    """The newest points of measurements whose names match the regular expression, by its first group."""
    found = {re.fullmatch(pattern, name): points[-1] for name, points in sorted(history.series.items())}
    return {match[1]: point for match, point in found.items() if match}


def bars(name: str, points: Mapping[str, Point], **more: Any) -> dict[str, Any]:
    """A bar for each, with one standard error to each side where a spread was measured."""
    trace = {"type": "bar", "name": name, "x": list(points), "y": [point.value for point in points.values()]} | more
    if any(point.error is not None for point in points.values()):
        trace["error_y"] = {"type": "data", "array": [point.error or 0.0 for point in points.values()]}
    return trace


def line(name: str, points: Sequence[Point], **more: Any) -> dict[str, Any]:
    """A trace over steps (or, where a measurement has none, over the times at which it was made)."""
    x = [point.time if point.step is None else point.step for point in points]
    mode = "lines" if len(points) > 1 else "markers"
    return {"type": "scatter", "mode": mode, "name": name, "x": x, "y": [p.value for p in points]} | more


def layout(x: str, y: str, **more: Any) -> dict[str, Any]:
    """Axes with names (a share, whose unit is 1, goes without); little else."""
    return {
        "xaxis": {"title": {"text": x}, "automargin": True},
        "yaxis": {"title": {"text": y if y != "1" else ""}, "automargin": True},
        "margin": {"l": 50, "r": 10, "t": 10, "b": 40},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},  # grows upwards where it has two rows
    } | more
