"""EvoMerge: the fitness of the generations, how different their models are, and where the champion comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge_gateway.dash.figures.figure import Figure, Source, bars, layout, values
from agentforge_gateway.dash.figures.lines import together


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
    shown = [f"{name}, fitness {people[name].get('fitness')}" if name in people else name for name in place]
    nodes = {
        "type": "scatter", "mode": "markers", "name": "models", "x": [p[0] for p in place.values()],
        "y": [p[1] for p in place.values()], "text": shown, "hoverinfo": "text", "marker": {"size": 9},
    }  # fmt: skip
    lines = {
        "type": "scatter",
        "mode": "lines",
        "name": "parents",
        "line": {"width": 1},
        "hoverinfo": "skip",
    } | edges
    hidden = {"showticklabels": False, "showgrid": False, "zeroline": False}
    caption = f"The champion's ancestors: {len(people)} models merged from {', '.join(given) or 'the parents'}."
    plot = {"data": [lines, nodes], "layout": layout("merges from the parents", "", yaxis=hidden)}
    return [Figure("tree", "Family tree", caption, plot)]


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
