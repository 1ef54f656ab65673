"""Edge: the scene from above, what the search tried, how fast and how large each file of the package is."""

from __future__ import annotations

from agentforge_gateway.dash.figures.driving import scene
from agentforge_gateway.dash.figures.figure import Figure, Source, bars, layout, values


def figures(source: Source) -> list[Figure]:
    return [
        *scene(source),
        *_searched(source),
        *_latency(source),
        *_bars(source, "decode", "A decode step", r"adas/performance/(\w+)/decode_p50", "ms", "Median"),
        *_bars(source, "tail", "Slow steps", r"adas/performance/(\w+)/decode_p99", "ms", "99th percentile"),
        *_bars(source, "size", "Size of the files", r"adas/performance/(\w+)/size", "By", "Bytes"),
        *_bars(source, "parity", "Against PyTorch", r"adas/(\w+)/parity", "1", "Largest difference of logits"),
        *_bars(source, "accuracy", "Accuracy", r"adas/(\w+)/accuracy", "1", "Share of test items answered"),
    ]  # fmt: skip


def _searched(source: Source) -> list[Figure]:
    """The newest front that the search has told of."""
    told = source.sample("adas/search/front")
    if not told or not told["front"]:
        return []
    front = told["front"]
    trace = {
        "type": "scatter", "mode": "markers", "name": "front", "x": [one["bytes"] for one in front],
        "y": [one["accuracy"] for one in front], "text": [f"candidate {one['number']:g}" for one in front],
        "marker": {"size": 10},
    }  # fmt: skip
    caption = f"Candidates that nobody beats in accuracy, bytes and FLOPs: {len(front)} of {told['trials']:g}."
    plot = {"data": [trace], "layout": layout("bytes", "accuracy on selection items")}
    return [Figure("search", "The search's front", caption, plot)]


def _latency(source: Source) -> list[Figure]:
    """Of the candidates that were measured, beside the budget where one was set."""
    found = values(source.history, r"adas/search/(?:front/)?(\w+)/latency_ms")
    if not found:
        return []
    names = [f"candidate {name}" if name.isdigit() else name for name in found]
    traces = [bars("decode step", dict(zip(names, found.values(), strict=True)))]
    budget = ((source.config.get("search") or {}).get("budgets") or {}).get("latency_ms")
    if budget is not None:
        line = {"color": "#c0392b", "dash": "dash"}
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "budget",
                "x": names,
                "y": [budget] * len(names),
                "line": line,
            }
        )
    told = ", ".join(f"{name} {point.value:.3g}" for name, point in zip(names, found.values(), strict=True))
    said = f"the budget is {budget:g} ms" if budget is not None else "no budget was set"
    caption = f"Median decode step of who was measured by the search, in ms: {told}; {said}."
    return [Figure("latency", "Latency against its budget", caption, {"data": traces, "layout": layout("", "ms")})]


def _bars(source: Source, key: str, title: str, pattern: str, unit: str, said: str) -> list[Figure]:
    found = values(source.history, pattern)
    if not found:
        return []
    told = ", ".join(f"{name} {point.value:.4g}" for name, point in found.items())
    caption = f"{said}, on the machine that ran this phase: {told}."
    return [Figure(key, title, caption, {"data": [bars(title, found)], "layout": layout("", unit)})]
