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
    parts: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Measure the parts, too: perception on so many test scenes.")
    ] = 0,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE.mcap", help="Drive one scenario and keep what was sensed and said.")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(metavar="FILE.mcap", help="Drive by a recording, and compare the verdicts.")
    ] = None,
    pack: Annotated[
        Path | None,
        typer.Option(metavar="FILE.pyz", help="Pack detector and motion model for a device, and run it."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Drive scenarios in a generated world: collisions, stops, reactions to faults, and the safety report."""
    from agentforge.cli.drive import DriveOptions, run_drive

    names = tuple(scenarios or ())
    return run_drive(DriveOptions(names, listed, minutes, seed, jobs, out, parts, record, replay, pack, as_json))
