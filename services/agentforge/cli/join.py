"""`agentforge join`: this machine's part of a run that another machine started."""

from __future__ import annotations

import sys
from pathlib import Path

from agentforge.cli.progress import state_name
from agentforge.cli.results import exit_code
from agentforge.cli.several import Several
from agentforge.kit.joining import Place, join
from agentforge.kit.paths import home
from agentforge.kit.rundir import RunDirectory


def join_run(directory: Path, node: int, master: str, each: int) -> int:
    """The exit code is that of the run."""
    found = join(Place(RunDirectory.at(directory), node, master, each), _say)
    state = state_name(found.state)
    _say(f"the run is over: {state}")
    return exit_code(state)


def join_as(several: Several, run_id: str, phase: str) -> int:
    """`agentforge phase --node-rank N`, as people who know torchrun type it."""
    several.check_further(run_id)
    return join_run(home() / "runs" / run_id / phase, several.node, several.master, several.each)


def _say(text: str) -> None:
    print(f"join: {text}", file=sys.stderr, flush=True)
