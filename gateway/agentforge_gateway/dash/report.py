"""report.html: one file with a run's pictures, all that it measured, and where each output comes from. It needs no
network and no gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rundir import RunDirectory
from agentforge_gateway.access.headers import REPORT
from agentforge_gateway.dash.figures import figures_of
from agentforge_gateway.dash.figures.figure import Figure, Source
from agentforge_gateway.dash.files import static_files
from agentforge_gateway.dash.render import fragment
from agentforge_gateway.dash.view import RunView
from agentforge_gateway.models import PhaseRun

HEADERS = {"Content-Security-Policy": REPORT, "Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Chapter:
    """One phase."""

    phase: PhaseRun
    figures: list[Figure]
    config: str
    parents: list[ArtifactRef]


def report_html(view: RunView) -> str:
    files = static_files()
    return fragment(
        "report.html",
        run=view.run,
        chapters=list(_chapters(view)),
        style=files["app.css"].read_text(),
        scripts=[files[name].read_text() for name in ("plotly.min.js", "app.js")],
    )


def _chapters(view: RunView) -> Iterator[Chapter]:
    planned = {phase.phase: phase for phase in view.run.plan}
    for number, run in enumerate(view.run.phases):
        asked = planned[run.phase].config
        source = Source(run, view.history.phases[run.phase], view.place(run.phase), asked)
        # Keys of elements are a phase's own; here all phases stand in one page.
        figures = [
            Figure(f"p{number}-{figure.key}", figure.title, figure.caption, figure.plot)
            for figure in figures_of(source)
        ]
        yield Chapter(run, figures, json.dumps(asked, indent=1), _parents(source.place))


def _parents(place: Path) -> list[ArtifactRef]:
    """What the phase was given, by digest."""
    directory = RunDirectory.at(place)
    return list(directory.request().inputs) if directory.exists() else []
