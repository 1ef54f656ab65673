"""EvoMerge: the fitness of the generations, how different their models are, who beats whom in what fitness sums up,
and where the champion comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentforge_gateway.dash.figures.figure import Figure, Source, bars, layout, values
from agentforge_gateway.dash.figures.lines import together

_MOST_NAMED = 8  # models whose names have room in the picture
_OBJECTIVES = (("perplexity", 1), ("accuracy", -1), ("flops_per_token", 1), ("bytes", 1))  # 1: the less the better


def figures(source: Source) -> list[Figure]:
    return [
        *together(
            source, "fitness", "Fitness", r"evomerge/(best_fitness|avg_fitness|elite\d_fitness)",
            "Best and mean fitness of each generation, selection split; 1 is the parents' mean.", "generation",
        ),
        *together(
            source, "diversity", "Diversity", r"evomerge/(diversity|weight_distance|recipe_distance)",
            "How far the population's models differ: in answers, in weights, in recipes.", "generation",
        ),
        *together(
            source, "answers", "The best model's answers", r"evomerge/(accuracy)",
            "Mean over families, selection split.", "generation",
        ),
        *_test(source),
        *_front(source),
        *_tree(source),
    ]  # fmt: skip


def _test(source: Source) -> list[Figure]:
    """Champion, parents and the plain mean, on items that chose nobody."""
    found = values(source.history, r"evomerge/([\w.-]+)/accuracy")
    if not found:
        return []
    said = ", ".join(f"{name} {point.value:.3f}" for name, point in found.items())
    caption = f"Mean accuracy over families on the test split: {said}; n = {next(iter(found.values())).n:,}."
    plot = {"data": [bars("accuracy", found)], "layout": layout("", "accuracy")}
    return [Figure("test", "Champion and parents", caption, plot)]


def _front(source: Source) -> list[Figure]:
    """All models that the generations told of, by two of the four objectives; the front is by all four."""
    told = [each["data"] for each in source.history.samples if each["name"] == "evomerge/generation"]
    models = {one["name"]: one for each in told for one in each.get("models", ()) if "flaw" not in one}
    if not models:
        return []
    front = _unbeaten(list(models.values()))
    best = told[-1]["best"]["name"]
    traces = [
        _points("all models", list(models.values()), "circle-open"),
        _points("front", front, "circle"),
        _points("best by fitness", [models[best]] if best in models else [], "star"),
    ]
    caption = (
        f"{len(models)} models of generations {told[0]['generation']:g} to {told[-1]['generation']:g}, selection "
        f"split. {len(front)} of them are the front: no other beats them in all of perplexity, accuracy, FLOPs a "
        f"token and bytes. The best by fitness is {best}."
    )
    axes = layout("perplexity", "accuracy", hovermode="closest")
    axes["xaxis"]["type"] = "log"
    return [Figure("front", "Pareto front", caption, {"data": traces, "layout": axes})]


def _unbeaten(models: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Whom no other equals in everything and beats in something. Sorted, none is beaten by a later one."""
    front: list[tuple[Mapping[str, Any], list[float]]] = []
    for costs, _, one in sorted(
        ([sign * one[name] for name, sign in _OBJECTIVES], place, one) for place, one in enumerate(models)
    ):
        beaten = (all(a <= b for a, b in zip(other, costs, strict=True)) and other != costs for _, other in front)
        if not any(beaten):
            front.append((one, costs))
    return [one for one, _ in front]


def _points(name: str, models: Sequence[Mapping[str, Any]], symbol: str) -> dict[str, Any]:
    said = [f"{m['name']}, fitness {m['fitness']:.4g}, {m['flops_per_token']:,.0f} FLOPs a token" for m in models]
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": [m["perplexity"] for m in models],
        "y": [m["accuracy"] for m in models], "text": said, "hoverinfo": "text+x+y",
        "marker": {"symbol": symbol, "size": 14 if symbol == "star" else 9},
    }  # fmt: skip


def _tree(source: Source) -> list[Figure]:
    told = source.document("model", "evomerge.json")
    people: Mapping[str, Any] = told.get("family_tree", {}) if isinstance(told, dict) else {}
    if not people:
        return []
    depth = {name: _depth(name, people) for name in people}
    given = sorted({parent for one in people.values() for parent in one["parents"]} - set(people))
    place = {name: (depth[name], row) for row, name in enumerate(sorted(people, key=lambda n: (depth[n], n)))}
    place |= {name: (0, row * max(1, len(people) // max(1, len(given)))) for row, name in enumerate(given)}
    edges: dict[str, list[float | None]] = {"x": [], "y": []}
    for name, one in people.items():
        for parent in one["parents"]:
            for axis, i in (("x", 0), ("y", 1)):
                edges[axis] += [place[parent][i], place[name][i], None]
    shown = [f"{name}, fitness {_fit(people[name])}" if name in people else name for name in place]
    few = len(place) <= _MOST_NAMED
    nodes = {
        "type": "scatter", "mode": "markers+text" if few else "markers", "name": "models",
        "x": [p[0] for p in place.values()], "y": [p[1] for p in place.values()], "text": shown,
        "textposition": ["bottom center" if name in people else "top center" for name in place],
        "hoverinfo": "text", "marker": {"size": 9}, "cliponaxis": False,
    }  # fmt: skip
    lines = {
        "type": "scatter",
        "mode": "lines",
        "name": "parents",
        "line": {"width": 1},
        "hoverinfo": "skip",
    } | edges
    hidden = {"showticklabels": False, "showgrid": False, "zeroline": False}
    caption = f"The champion's ancestors: {len(people)} merged from {', '.join(given) or 'the parents'}."
    axes = layout("merges from the parents", "", yaxis=hidden)
    if few:  # room for the names at both sides
        deepest = max(p[0] for p in place.values())
        axes["xaxis"] |= {"range": [-0.6 * deepest, 1.6 * deepest], "dtick": 1}
        axes["yaxis"]["range"] = [-0.7, max(p[1] for p in place.values()) + 0.7]
    return [Figure("tree", "Family tree", caption, {"data": [lines, nodes], "layout": axes})]


def _fit(one: Mapping[str, Any]) -> str:
    return "none" if one.get("fitness") is None else f"{one['fitness']:.4g}"


def _depth(name: str, people: Mapping[str, Any]) -> int:
    """Merges between a model and those that were given; families have no cycles."""
    depth: dict[str, int] = {}
    waiting = [name]
    while waiting:
        one = waiting[-1]
        parents = people[one]["parents"] if one in people else []
        unknown = [parent for parent in parents if parent not in depth]
        if unknown:
            waiting += unknown
            continue
        depth[waiting.pop()] = 1 + max((depth[parent] for parent in parents), default=-1)
    return depth[name]
