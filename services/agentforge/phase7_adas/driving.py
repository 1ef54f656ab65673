"""The phase's last part, where it is asked for: driving in a generated world, and the safety report."""

from __future__ import annotations

from agentforge.kit.context import PhaseContext
from agentforge.phase7_adas.configs.driving import DriveConfig
from agentforge.phase7_adas.drive.closed_loop.many import OUTCOMES, Task, outcomes_of, tasks, varied, write_down
from agentforge.phase7_adas.drive.closed_loop.outcome import Outcome
from agentforge.phase7_adas.drive.closed_loop.run import drive
from agentforge.phase7_adas.drive.orchestrator.pipeline import Tick
from agentforge.phase7_adas.drive.showing import write_report
from agentforge.phase7_adas.drive.truth import Truth
from agentforge.phase7_adas.drive.view.told import told_scene

SAFETY_REPORT = "adas_safety_report"


def drive_and_report(context: PhaseContext, config: DriveConfig, seed: int) -> None:
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
    with context.output(SAFETY_REPORT) as directory:
        found = write_report(outcomes, directory)
    for one in found:
        context.measure(one.measurement())


def _drive(context: PhaseContext, config: DriveConfig, task: Task, *, first: bool) -> Outcome:
    scenario = varied(task)
    every_us = round(config.scene_every_s * 1e6)

    def watch(tick: Tick, truth: Truth) -> None:
        if first and tick.t_us % every_us == 0:
            context.sample("adas/drive/scene", told_scene(tick, truth, scenario.road, task.scenario))

    return drive(scenario, task.seed, watch=watch).outcome
