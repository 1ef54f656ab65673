"""Figures: Plotly takes them, they say in words what they show, and nothing is drawn that was not measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from agentforge_gateway.dash.figures import DRAWERS, figures_of
from agentforge_gateway.dash.figures.figure import Figure, Source
from agentforge_gateway.dash.series import PhaseHistory
from agentforge_gateway.models import Artifact, PhaseRun

LAYERS = [{"name": "l1", "ternary": True, "zeros": 0.4}, {"name": "head", "ternary": False, "zeros": 0.0}]
FRONT = {"trials": 5, "front": [{"number": 2, "bytes": 100, "accuracy": 0.9}]}
CANDIDATE = {"number": 1, "genes": {"bits": 2}, "bytes": 50, "retention": 0.97}
PARETO = {
    "candidates": [{**CANDIDATE, "flawed": False}, {"number": 2, "genes": {}, "flawed": True}],
    "front": [CANDIDATE], "chosen": 1, "fresh_items": 60, "input_bytes": 1000,
}  # fmt: skip
TREE = {
    "family_tree": {"g1": {"parents": ["a", "b"], "fitness": 1.1}, "g2": {"parents": ["g1", "b"], "fitness": 1.2}}
}
SAID: dict[str, list[tuple[str, int | None]]] = {
    "cognate": [("trunk/loss", 1), ("trunk/loss", 2), ("reasoning/accuracy/arithmetic", None)],
    "evomerge": [("best_fitness", 1), ("best_fitness", 2), ("diversity", 1), ("champion/accuracy", None)],
    "quietstar": [("gain", 1), ("gain", 2), ("thinking/hard_loss", None), ("thinking_off/hard_loss", None)],
    "bitnet": [("layer/l1/output_error", None), ("packed/2_bits/whole_file/ratio", None), ("input/accuracy", None)],
    "training": [("difficulty/sums", 1), ("difficulty/sums", 2)],
    "baking": [("round_score", 1), ("round_score", 2), ("baked/tool_accuracy", None)],
    "adas": [("performance/int8/decode_p50", None), ("performance/int8/size", None)],
    "compression": [("input/share/mlp", None), ("formats/onnx/size", None), ("accuracy_retention/sums", None)],
}


def source(
    phase: str, said: list[tuple[str, int | None]], place: Path, outputs: dict[str, str] | None = None
) -> Source:
    history = PhaseHistory(phase)
    for i, (name, step) in enumerate(said):
        whole = {"name": f"{'forge' if phase == 'training' else phase}/{name}", "value": 0.25 + i / 8, "unit": "1"}
        more = {"method": "counted", "n": 3, "step": step}
        history.feed({"time": f"2026-01-01T00:00:0{i}Z", "phase": phase, "measurement": whole | more})
    made = [Artifact(name=name, kind=kind, path=f"x/{name}") for name, kind in (outputs or {}).items()]
    return Source(PhaseRun(phase=phase, outputs=made), history, place)


def check(figures: list[Figure]) -> None:
    keys = [figure.key for figure in figures]
    assert len(set(keys)) == len(keys)
    for figure in figures:
        go.Figure(json.loads(json.dumps(figure.plot, allow_nan=False)))  # raises for what Plotly does not know
        assert any(letter.isdigit() for letter in figure.caption), "a caption says the numbers, too"


@pytest.mark.parametrize("phase", DRAWERS)
def test_a_phase_that_said_nothing_has_no_figures(phase: str, tmp_path: Path) -> None:
    assert figures_of(source(phase, [], tmp_path)) == []


@pytest.mark.parametrize("phase", DRAWERS)
def test_what_was_measured_is_drawn(phase: str, tmp_path: Path) -> None:
    figures = figures_of(source(phase, SAID[phase], tmp_path))
    assert len(figures) >= 1 + (phase != "training")
    check(figures)


def test_an_unknown_phase_has_lines_of_what_it_measured_at_steps(tmp_path: Path) -> None:
    figures = figures_of(source("mine", [("loss", 1), ("loss", 2), ("final", None)], tmp_path))
    assert [figure.title for figure in figures] == ["loss"]
    check(figures)


def test_the_family_tree_holds_everybody_once(tmp_path: Path) -> None:
    (tmp_path / "output/champion").mkdir(parents=True)
    (tmp_path / "output/champion/evomerge.json").write_text(json.dumps(TREE))
    (figure,) = figures_of(source("evomerge", [], tmp_path, {"champion": "model"}))
    check([figure])
    nodes = figure.plot["data"][1]
    assert sorted(word.partition(",")[0] for word in nodes["text"]) == ["a", "b", "g1", "g2"]
    assert max(nodes["x"]) == 2


def standing(name: str, perplexity: float, accuracy: float, size: int = 100) -> dict[str, Any]:
    costs = {"perplexity": perplexity, "accuracy": accuracy, "flops_per_token": 10.0, "bytes": size}
    return {"name": name, "fitness": 1.0, **costs}


def test_the_front_of_an_evolution_holds_whom_nobody_beats(tmp_path: Path) -> None:
    generations = [
        [standing("g0.0", 3.0, 0.5), standing("g0.1", 3.0, 0.5), standing("g0.2", 4.0, 0.5)],
        [standing("g1.0", 2.0, 0.4), standing("g1.1", 9.0, 0.1, size=50), {"name": "g1.2", "flaw": "no number"}],
    ]
    one = source("evomerge", [], tmp_path)
    for number, models in enumerate([*generations, generations[-1]]):  # a resumed run tells one once more
        data = {"generation": min(number, 1), "best": {"name": "g0.0", "fitness": 1.0}, "models": models}
        one.history.feed(
            {"time": "t", "phase": "evomerge", "sample": {"name": "evomerge/generation", "data": data}}
        )
    (figure,) = figures_of(one)
    check([figure])
    everybody, front, best = figure.plot["data"]
    assert sorted(everybody["x"]) == [2.0, 3.0, 3.0, 4.0, 9.0]
    assert [text.partition(",")[0] for text in front["text"]] == ["g1.0", "g0.0", "g0.1", "g1.1"]  # twins both
    assert (best["x"], best["y"]) == ([3.0], [0.5])
    assert "5 models of generations 0 to 1" in figure.caption


def test_an_evolution_that_never_told_of_its_models_has_no_front(tmp_path: Path) -> None:
    one = source("evomerge", [], tmp_path)
    data = {"generation": 0, "best": {"name": "g0.0", "fitness": 1.0}, "combinations": []}
    one.history.feed({"time": "t", "phase": "evomerge", "sample": {"name": "evomerge/generation", "data": data}})
    assert figures_of(one) == []


def test_the_pareto_front_marks_the_chosen_one(tmp_path: Path) -> None:
    (tmp_path / "output/report").mkdir(parents=True)
    (tmp_path / "output/report/pareto_front.json").write_text(json.dumps(PARETO))
    (figure,) = figures_of(source("compression", [], tmp_path, {"report": "report"}))
    check([figure])
    assert [len(trace["x"]) for trace in figure.plot["data"]] == [1, 1, 1]


@pytest.mark.parametrize(("phase", "name", "data"), [("bitnet", "bitnet/layers", {"layers": LAYERS}),
                                                     ("adas", "adas/search/front", FRONT)])  # fmt: skip
def test_figures_of_samples(phase: str, name: str, data: dict[str, Any], tmp_path: Path) -> None:
    one = source(phase, [], tmp_path)
    one.history.feed({"time": "t", "phase": phase, "sample": {"name": name, "data": data}})
    (figure,) = figures_of(one)
    check([figure])
    assert len(figure.plot["data"][0]["x"]) == 1


@pytest.mark.parametrize("budget", [None, 2.5])
def test_latencies_stand_beside_their_budget(budget: float | None, tmp_path: Path) -> None:
    said = [("search/chosen/latency_ms", None), ("search/front/4/latency_ms", None)]
    one = source("adas", said, tmp_path)
    asked = Source(one.run, one.history, one.place, {"search": {"budgets": {"latency_ms": budget}}})
    (figure,) = figures_of(asked)
    check([figure])
    measured, *limits = figure.plot["data"]
    assert dict(zip(measured["x"], measured["y"], strict=True)) == {"chosen": 0.25, "candidate 4": 0.375}
    assert [each["y"] for each in limits] == ([] if budget is None else [[2.5, 2.5]])


def test_a_damaged_document_is_no_figure(tmp_path: Path) -> None:
    (tmp_path / "output/report").mkdir(parents=True)
    (tmp_path / "output/report/pareto_front.json").write_text('{"candidates": [')
    assert figures_of(source("compression", [], tmp_path, {"report": "report"})) == []
