"""One measurement of several models over their steps, in one picture."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentforge_gateway.dash.figures.figure import Figure, Source, layout, line
from agentforge_gateway.dash.series import Point

_MOST_POINTS = 2000  # of a line; the rest would not be seen


def together(source: Source, key: str, title: str, pattern: str, said: str, x: str = "step") -> list[Figure]:
    """A line for each measurement whose name matches; the first group is its word in the legend."""
    found = [(match, points) for name, points in sorted(source.history.series.items())
             if (match := re.fullmatch(pattern, name))]  # fmt: skip
    if not found:
        return []
    stepped = any(point.step is not None for _, points in found for point in points)
    traces, last, unit = [], [], ""
    for match, points in found:
        # One axis: a result that belongs to no step has no place among those that do.
        shown = [point for point in points if (point.step is not None) == stepped]
        if shown:
            word = (match.groups() and match[1]) or match[0].rpartition("/")[2]
            traces.append(line(word, _thinned(shown)))
            last.append(f"{word} {shown[-1].value:.4g}")
            unit = source.history.units[match[0]]
    x = x if stepped else "time"
    caption = f"{said} Last: {', '.join(last)}."
    return [Figure(key, title, caption, {"data": traces, "layout": layout(x, unit)})]


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    return points[:: len(points) // _MOST_POINTS + 1]
