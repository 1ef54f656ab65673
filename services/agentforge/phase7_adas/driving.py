"""The phase's last part, where it is asked for: driving in a generated world, its safety report, and what of it
goes to a device."""

from __future__ import annotations

import shutil

from agentforge.kit.context import PhaseContext
from agentforge.phase7_adas.configs.driving import DriveConfig
from agentforge.phase7_adas.drive.closed_loop.many import (
    OUTCOMES,
    PICTURES,
    Task,
    one,
    outcomes_of,
    tasks,
    varied,
    write_down,
)
from agentforge.phase7_adas.drive.closed_loop.outcome import Outcome
from agentforge.phase7_adas.drive.closed_loop.parts import Sizes, measured
from agentforge.phase7_adas.drive.closed_loop.summary import results
from agentforge.phase7_adas.drive.deployment.agent import deploy
from agentforge.phase7_adas.drive.evidence.results import HERE
from agentforge.phase7_adas.drive.evidence.seed_names import seed_metrics
from agentforge.phase7_adas.drive.orchestrator.pipeline import Tick
from agentforge.phase7_adas.drive.showing import with_parts, write_report
from agentforge.phase7_adas.drive.truth import Truth
from agentforge.phase7_adas.drive.view.told import told_scene

SAFETY_REPORT, DRIVING_PACKAGE, EYES = "adas_safety_report", "driving_package", "eyes.pyz"


def pack_and_drive(context: PhaseContext, config: DriveConfig, seed: int) -> None:
    if DRIVING_PACKAGE not in context.published:
        with context.output(DRIVING_PACKAGE) as directory:
            told = deploy(directory / EYES)
        context.log(
            f"{EYES}: {told['bytes']:,} bytes; run here, {told['pictures']} pictures answered as by the pipeline"
        )
    _drive_and_report(context, config, seed)


def _drive_and_report(context: PhaseContext, config: DriveConfig, seed: int) -> None:
    """Each drive is a step that a killed run does not repeat."""
    if SAFETY_REPORT in context.published:
        return
    file = context.work / OUTCOMES
    known = dict(outcomes_of(file))
    wanted = tasks(config.minutes, seed)
    seen = {task.scenario for task in known}
    for number, task in enumerate(wanted):
        context.progress(number, len(wanted), "drives", task.scenario)
        if task not in known:
            context.check_stop()
            known[task] = _drive(context, config, task, first=task.scenario not in seen)
            write_down(file, known[task])
        seen.add(task.scenario)
    outcomes = [known[task] for task in wanted]
    parts = measured(Sizes(config.parts), told=context.log) if config.parts else {}
    found = with_parts(results(outcomes), parts)
    with context.output(SAFETY_REPORT) as directory:
        shutil.copytree(context.work / PICTURES, directory / PICTURES, dirs_exist_ok=True)
        write_report(outcomes, found, directory)
    for each in found:
        if each.source == HERE:
            context.measure(each.measurement())
    for metric in seed_metrics(found):
        context.measure(metric)


def _drive(context: PhaseContext, config: DriveConfig, task: Task, *, first: bool) -> Outcome:
    road, every_us = varied(task).road, round(config.scene_every_s * 1e6)

    def watch(tick: Tick, truth: Truth) -> None:
        if first and tick.t_us % every_us == 0:
            context.sample("adas/drive/scene", told_scene(tick, truth, road, task.scenario))

    return one(task, context.work / PICTURES, watch)
