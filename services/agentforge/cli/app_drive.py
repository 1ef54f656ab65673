"""One more command of the same program: the driving pipeline of phase 7 in its generated world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentforge.cli.app import Json, app


@app.command()
def drive(
    scenarios: Annotated[
        list[str] | None, typer.Argument(metavar="[SCENARIO…]", help="By name; absent: all of them.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Name the scenarios, and drive nothing.")] = False,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, max=1e6, help="Generated minutes to fill with variations.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="0: as written down; another: varied.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Processes side by side.")] = 1,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the safety report goes.")] = None,
    as_json: Json = False,
) -> int:
    """Drive scenarios in a generated world: collisions, stops, reactions to faults, and the safety report."""
    from agentforge.cli.drive import DriveOptions, run_drive

    return run_drive(DriveOptions(tuple(scenarios or ()), listed, minutes, seed, jobs, out, as_json))
