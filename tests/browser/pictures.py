"""What each phase's own pictures must hold after a run of the tiny preset, by what the phase wrote into its log."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pytest

from .figures import Drawn, Said

if TYPE_CHECKING:
    from playwright.sync_api import Page

Figures = Mapping[str, Drawn]
SPECIALISTS = ("reasoning", "memory_integration", "adaptive_computation")
FAMILIES = ("arithmetic", "nested", "recall")


def cognate(figures: Figures, said: Said, page: Page) -> None:
    """Loss and accuracy, the trunk's and each specialist's."""
    for name in ("trunk", *SPECIALISTS):
        assert figures["loss"].y(name) == said.series(f"cognate/{name}/loss")
        assert len(figures["loss"].y(name)) > 10
    (heat,) = figures["accuracy"].traces.values()
    table = {
        (model, family): heat["z"][row][column]
        for row, model in enumerate(heat["y"])
        for column, family in enumerate(heat["x"])
    }
    assert table == {
        (model, family): said.series(f"cognate/{model}/accuracy/{family}")[-1]
        for model in ("trunk", *SPECIALISTS)
        for family in FAMILIES
    }
    samples = page.locator("#samples .sample").all_inner_texts()
    assert any(one["prompt"] in text for text in samples for one in said.samples("cognate/reasoning"))


def evomerge(figures: Figures, said: Said, page: Page) -> None:
    """Best and average fitness, diversity, the family tree and the front."""
    best = figures["fitness"].y("best_fitness")
    assert best == said.series("evomerge/best_fitness") == sorted(best)
    assert figures["fitness"].y("avg_fitness") == said.series("evomerge/avg_fitness")
    assert figures["diversity"].y("diversity") == said.series("evomerge/diversity")
    who = ("champion", "linear", *SPECIALISTS)
    assert figures["test"].bars("accuracy") == said.last("evomerge/{}/accuracy", who)
    generations = said.samples("evomerge/generation")
    models = {one["name"]: one for each in generations for one in each["models"]}
    front = figures["front"]
    assert sorted(front.traces["all models"]["x"]) == sorted(one["perplexity"] for one in models.values())
    assert 0 < len(front.y("front")) < len(models)
    champion = models[generations[-1]["best"]["name"]]
    assert front.traces["best by fitness"]["x"] == [champion["perplexity"]]
    assert max(front.y("front")) == max(one["accuracy"] for one in models.values())
    people = [text.partition(",")[0] for text in figures["tree"].traces["models"]["text"]]
    assert set(people) == {*SPECIALISTS, champion["name"]}


def quietstar(figures: Figures, said: Said, page: Page) -> None:
    """Loss with thoughts and without, and the thoughts themselves where they were had."""
    assert figures["gain"].y("gain") == said.series("quietstar/gain")
    assert figures["losses"].y("ahead") == said.series("quietstar/loss/ahead")
    who = ("thinking", "thinking_off", "thoughtless")
    shown = figures["hard-loss"].bars("hard_loss")
    assert {name: shown[name] for name in who} == said.last("quietstar/{}/hard_loss", who)
    learned = [each["text"] for one in said.samples("quietstar/thoughts") for each in one["thoughts"]]
    # None where the model without thoughts measured better, and is given on.
    had = [text for one in said.samples("quietstar/example") for each in one["thoughts"] for text in each["texts"]]
    assert learned
    assert page.locator("#samples .thought q").count() == len(learned) + len(had)
    assert learned[-1] in page.locator("#samples .thought q").evaluate_all(
        "all => all.map(each => each.textContent)"
    )


def bitnet(figures: Figures, said: Said, page: Page) -> None:
    """The weights' three values by layer, and size and accuracy."""
    layers = [one for one in said.samples("bitnet/layers")[-1]["layers"] if one["ternary"]]
    assert figures["zeros"].bars("zeros") == {one["name"]: pytest.approx(one["zeros"]) for one in layers}
    assert set(figures["sensitivity"].bars("sensitivity")) == {one["name"] for one in layers}
    sizes = figures["sizes"].bars("ratio")
    assert sizes["2_bits/linear_layers"] == said.series("bitnet/packed/2_bits/linear_layers/ratio")[-1] > 10
    who = ("input", "rounded", "finetuned")
    shown = figures["accuracy"].bars("accuracy")
    assert {name: shown[name] for name in who} == said.last("bitnet/{}/accuracy", who)


def training(figures: Figures, said: Said, page: Page) -> None:
    assert figures["loss"].y("loss") == said.series("forge/loss")
    assert figures["held-out"].y("selection_loss") == said.series("forge/selection_loss")
    for who in ("input", "trained"):
        assert figures["accuracy"].bars(who) == said.last(f"forge/{who}/accuracy/{{}}", FAMILIES)


def baking(figures: Figures, said: Said, page: Page) -> None:
    """Scores of tools, with the prompt and without it; the tiny preset bakes no persona."""
    assert figures["loss"].y("following/loss") == said.series("baking/following/loss")
    who = ("input", "prompted", "baked")
    assert figures["tool-accuracy"].bars("tool_accuracy") == said.last("baking/{}/tool_accuracy", who)
    assert figures["skill-accuracy"].bars("skill_accuracy") == said.last("baking/{}/skill_accuracy", who)


def adas(figures: Figures, said: Said, page: Page) -> None:
    """What the search found, and each file's latency and size. The tiny preset drives nowhere."""
    front = said.samples("adas/search/front")[-1]["front"]
    assert figures["search"].y("front") == [one["accuracy"] for one in front]
    who = ("cpu_4bit", "cpu_fp32", "cpu_int8", "pytorch")
    assert figures["decode"].bars("A decode step") == said.last("adas/performance/{}/decode_p50", who)
    sizes = figures["size"].bars("Size of the files")
    assert sizes["tensorrt_int8"] == said.series("adas/performance/tensorrt_int8/size")[-1] > 0


def compression(figures: Figures, said: Said, page: Page) -> None:
    """The front, the bytes of each part, and what was kept."""
    share = figures["shares"].bars("share")
    assert sum(share.values()) == pytest.approx(1)
    assert share == said.last("compression/input/share/{}", sorted(share))
    (report,) = (said.place / "output").glob("*report/pareto_front.json")
    found = json.loads(report.read_text())
    front = figures["front"]
    assert front.y("front, fresh items") == [one["retention"] for one in found["front"]]
    assert len(front.y("chosen")) == 1
    kept = figures["retention"].bars("kept")
    assert kept == said.last("compression/accuracy_retention/{}", FAMILIES)


PICTURES: Mapping[str, Callable[[Figures, Said, Page], None]] = {
    "cognate": cognate, "evomerge": evomerge, "quietstar": quietstar, "bitnet": bitnet, "training": training,
    "baking": baking, "adas": adas, "compression": compression,
}  # fmt: skip
