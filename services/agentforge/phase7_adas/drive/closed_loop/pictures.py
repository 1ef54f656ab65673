"""Drives seen from above: a strip of moments of every scenario, and a clip of those that went wrong."""

from __future__ import annotations

from pathlib import Path

from agentforge.kit.files import write_atomic
from agentforge.phase7_adas.drive.evidence.page import Strip
from agentforge.phase7_adas.drive.orchestrator.pipeline import Tick
from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import Truth
from agentforge.phase7_adas.drive.view.clip import clip_svg
from agentforge.phase7_adas.drive.view.moment import Moment, moment
from agentforge.phase7_adas.drive.view.strip import pick, strip_svg

EVERY_US = 250_000
STRIP, CLIP = "strip.svg", "clip.svg"
MOST_BYTES = 8_000_000
"""Of pictures within one page; what goes beyond it is linked: first what went well."""


class Pictures:
    """Given to `drive` as `watch`."""

    def __init__(self) -> None:
        self._moments: list[Moment] = []

    def __call__(self, tick: Tick, truth: Truth) -> None:
        if tick.t_us % EVERY_US == 0:
            note = ", ".join(sorted({each.code for each in tick.verdict.faults}))
            self._moments.append(moment(truth, tick.tracks, tick.predictions, tick.plan, tick.verdict.mode, note))

    def write(self, folder: Path, road: Road, title: str, *, wrong: bool) -> None:
        """The strip is of the first drive, or of the first that went wrong, as the clip is; others leave none."""
        first_wrong = wrong and not (folder / CLIP).exists()
        if not self._moments or not (first_wrong or not (folder / STRIP).exists()):
            return
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / STRIP, strip_svg(road, pick(self._moments), title).encode())
        if first_wrong and len(self._moments) > 1:
            write_atomic(folder / CLIP, clip_svg(road, self._moments, f"{title}, which went wrong").encode())


def strips(folder: Path, most_bytes: int = MOST_BYTES) -> dict[str, Strip]:
    """By scenario, whatever lies there; what went wrong is the first to get room."""
    found = sorted(folder.glob(f"*/{STRIP}"), key=lambda each: (not each.with_name(CLIP).exists(), each))
    made, left = {}, most_bytes
    for each in found:
        size = each.stat().st_size
        fits, left = size <= left, left - size if size <= left else left
        here = f"{folder.name}/{each.parent.name}"
        clip = f"{here}/{CLIP}" if each.with_name(CLIP).exists() else None
        made[each.parent.name] = Strip(each.read_text() if fits else None, f"{here}/{STRIP}", clip)
    return dict(sorted(made.items()))
