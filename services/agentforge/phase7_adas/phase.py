"""The story of phase 7, part one: analyse, search, make the files, judge and time them, pack, check the package."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from agentforge.kit import ranks
from agentforge.kit.context import PhaseContext
from agentforge.phase7_adas.admission import signing_key
from agentforge.phase7_adas.analyse import analyse, check_fits
from agentforge.phase7_adas.config import AdasConfig
from agentforge.phase7_adas.graphs import exported, make_files
from agentforge.phase7_adas.judging import judge
from agentforge.phase7_adas.parity import check_parity
from agentforge.phase7_adas.profile import profile
from agentforge.phase7_adas.publish import Made, publish
from agentforge.phase7_adas.search.search import Found, search
from agentforge.phase7_adas.start import Start, load_start
from agentforge.train.machine import settled


def run(context: PhaseContext, config: AdasConfig) -> None:
    signing_key(config)  # before hours of work
    with settled(config.machine):
        start = load_start(context.inputs.one("model"), config)
        check_fits(start, exported(start, start.model))  # what cannot be exported is told before the search, too
    found = search(context, start, config.search) if config.search is not None else None
    if not ranks.leader_goes_on():
        return
    with settled(config.machine):
        publish(context, start, made(context, start, found))
    if config.drive is not None:
        from agentforge.phase7_adas.driving import pack_and_drive  # what it needs, a phase without it does not

        pack_and_drive(context, config.drive, config.seed)


def made(context: PhaseContext, start: Start, found: Found | None) -> Made:
    model: Any = found.model if found is not None else start.model
    context.progress(0, 4, "parts", "files")
    directory = fresh(context.scratch / "adas") / "models"
    directory.mkdir()
    graph = exported(start, model)
    files = make_files(context, start, graph, directory)
    analysis = analyse(context, start, graph)
    context.progress(1, 4, "parts", "parity")
    parity = check_parity(start, model, files)
    judged = judge(context, start, found, files)
    context.progress(2, 4, "parts", "timing")
    timed = profile(start, model, files)
    for one in (*parity, *judged.measured, *timed, *analysis.measured):
        context.measure(one)
    context.progress(3, 4, "parts", "package")
    return Made(model, found, files, analysis, parity, judged, timed)


def fresh(directory: Path) -> Path:
    """Without what an earlier attempt of this process left."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory
