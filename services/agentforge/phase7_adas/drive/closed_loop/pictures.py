"""A drive seen from above: a strip of moments, and a clip."""

from __future__ import annotations

from pathlib import Path

from agentforge.phase7_adas.drive.orchestrator.pipeline import Tick
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import Truth
from agentforge.phase7_adas.drive.view.clip import clip_svg
from agentforge.phase7_adas.drive.view.moment import Moment, moment
from agentforge.phase7_adas.drive.view.strip import pick, strip_svg

EVERY_US = 250_000
STRIP, CLIP = "strip.svg", "clip.svg"


class Pictures:
    """Given to `drive` as `watch`."""

    def __init__(self) -> None:
        self._moments: list[Moment] = []

    def __call__(self, tick: Tick, truth: Truth) -> None:
        if tick.t_us % EVERY_US == 0:
            note = ", ".join(sorted({each.code for each in tick.verdict.faults}))
            self._moments.append(moment(truth, tick.tracks, tick.predictions, tick.plan, tick.verdict.mode, note))

    def write(self, folder: Path, road: Road, title: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CLIP).write_text(clip_svg(road, self._moments, title))
        (folder / STRIP).write_text(strip_svg(road, pick(self._moments), title))
