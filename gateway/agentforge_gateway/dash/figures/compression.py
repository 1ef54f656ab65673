"""Compression: every candidate by its bytes and what it keeps, the front among them, and what was chosen."""

from __future__ import annotations

from typing import Any

from agentforge_gateway.dash.figures.figure import Figure, Source, bars, layout, values


def figures(source: Source) -> list[Figure]:
    return [
        *_front(source),
        *_shares(source),
        *_formats(source, "size", "Files of all formats", "By", "Bytes of all files of a format"),
        *_retention(source),
    ]


def _front(source: Source) -> list[Figure]:
    told = source.document("report", "pareto_front.json")
    if not isinstance(told, dict) or not told.get("candidates"):
        return []
    tried = [one for one in told["candidates"] if not one["flawed"]]
    chosen = [one for one in told["front"] if one["number"] == told["chosen"]]
    traces = [
        _points("candidates, selection items", tried, "circle-open"),
        _points("front, fresh items", told["front"], "circle"),
        _points("chosen", chosen, "star"),
    ]
    caption = (
        f"{len(tried)} candidates, each stored, read back and asked; the front of {len(told['front'])} asked "
        f"{told['fresh_items']} fresh items. The input has {told['input_bytes']:,} bytes."
    )
    axes = layout("bytes of the file", "share of accuracy kept")
    return [Figure("front", "Pareto front", caption, {"data": traces, "layout": axes})]


def _points(name: str, found: list[dict[str, Any]], symbol: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": [one["bytes"] for one in found],
        "y": [one["retention"] for one in found], "text": [f"{one['number']}: {one['genes']}" for one in found],
        "marker": {"symbol": symbol, "size": 14 if symbol == "star" else 9},
    }  # fmt: skip


def _shares(source: Source) -> list[Figure]:
    found = values(source.history, r"compression/input/share/(.+)")
    if not found:
        return []
    said = ", ".join(f"{name} {point.value:.0%}" for name, point in found.items())
    plot = {"data": [bars("share", found)], "layout": layout("part of the model", "share of parameters")}
    return [Figure("shares", "Where the parameters are", f"Shares of the input's parameters: {said}.", plot)]


def _formats(source: Source, what: str, title: str, unit: str, said: str) -> list[Figure]:
    found = values(source.history, rf"compression/formats/(\w+)/{what}")
    if not found:
        return []
    told = ", ".join(f"{name} {point.value:,.0f}" for name, point in found.items())
    return [Figure(what, title, f"{said}: {told}.", {"data": [bars(what, found)], "layout": layout("", unit)})]


def _retention(source: Source) -> list[Figure]:
    found = values(source.history, r"compression/accuracy_retention/(\w+)")
    if not found:
        return []
    said = ", ".join(f"{name} {point.value:.2f}" for name, point in found.items())
    plot = {"data": [bars("kept", found)], "layout": layout("family", "share of accuracy kept")}
    return [Figure("retention", "What is kept", f"Accuracy of the final file over the input's: {said}.", plot)]
