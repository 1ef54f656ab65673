"""What the pictures of a page hold, and what the run itself wrote down: two ways that meet only in the browser."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

_DRAWN = """place => place.data && place.querySelector(
  '.scatterlayer path, .barlayer path, .heatmaplayer image, .hm image')"""
_HELD = """place => place.data.map(each => ({name: each.name, type: each.type, x: [...(each.x || [])],
  y: [...(each.y || [])], z: each.z, text: each.text}))"""


@dataclass(frozen=True)
class Drawn:
    """Plotly's traces by name, as the browser has them."""

    traces: dict[str, dict[str, Any]]
    caption: str

    def y(self, trace: str) -> list[Any]:
        found: list[Any] = self.traces[trace]["y"]
        return found

    def bars(self, trace: str) -> dict[str, float]:
        one = self.traces[trace]
        return dict(zip(one["x"], one["y"], strict=True))


def drawn_figures(page: Page) -> dict[str, Drawn]:
    """By element id; each is brought into sight, as a reader does, and must be drawn then."""
    found = {}
    for place in page.locator(".figure").all():
        place.scroll_into_view_if_needed()
        handle = place.element_handle()
        page.wait_for_function(_DRAWN, arg=handle)
        traces = {each["name"]: each for each in place.evaluate(_HELD)}
        key = place.get_attribute("id") or ""
        found[key] = Drawn(traces, place.locator("xpath=../figcaption").inner_text())
    return found


class Said:
    """A phase's own log of a run, read without the gateway."""

    def __init__(self, home: Path, run_id: str, phase: str) -> None:
        self.place = home / "runs" / run_id / phase
        lines = (self.place / "events.jsonl").read_text().splitlines()
        self.records: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def series(self, name: str) -> list[float]:
        """All values of a measurement, in the order in which they were told."""
        told = [each["measurement"] for each in self.records if "measurement" in each]
        return [one["value"] for one in told if one["name"] == name]

    def last(self, pattern: str, names: Sequence[str]) -> dict[str, float]:
        """The last value of each, `{}` in the pattern being its name."""
        return {name: self.series(pattern.format(name))[-1] for name in names}

    def samples(self, name: str) -> list[Mapping[str, Any]]:
        told = [each["sample"] for each in self.records if "sample" in each]
        return [one["data"] for one in told if one["name"] == name]
