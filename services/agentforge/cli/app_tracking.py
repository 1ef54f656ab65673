"""More commands of the same program: what tells others of runs, and what searches configs by runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentforge.cli.app import Inputs, Json, OfPhase, RunArgument, Target, Track, app


@app.command()
def track(
    run_id: RunArgument,
    phase: OfPhase = "",
    to: Annotated[str, typer.Option(metavar="wandb|otel", help="Whom to tell.")] = "wandb",
    mode: Annotated[
        str, typer.Option(metavar="offline|online", help="How W&B is told; absent: as AGENTFORGE_WANDB says.")
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="Tell all of the run anew, not only what is new.")] = False,
    as_json: Json = False,
) -> int:
    """Tell Weights & Biases, or a collector of traces, about a run: from its event log, to its end."""
    from agentforge.cli.track import track_run

    return track_run(run_id, phase, to, mode, again=again, as_json=as_json)


@app.command()
def sweep(
    what: Annotated[str, typer.Argument(metavar="PHASE|pipeline", help="Whose config is searched.")],
    file: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="What is searched for what: a W&B sweep file.")],
    trials: Annotated[int | None, typer.Option(min=1, max=10_000, help="How many; else as the file says.")] = None,
    preset: Annotated[str, typer.Option(help="Where fields begin that are not searched.")] = "",
    from_: Annotated[str, typer.Option("--from", metavar="PHASE", help="First phase of a pipeline's trial.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="PHASE", help="Last phase of a pipeline's trial.")] = "",
    inputs: Inputs = None,
    target: Target = "",
    track: Track = "",
    as_json: Json = False,
) -> int:
    """Search fields of a config for the best measured value. The same command goes on with a sweep that stopped."""
    from agentforge.cli.sweep import SweepOptions, run_sweep
    from agentforge.cli.track import choose_tracking

    choose_tracking(track, target)
    options = SweepOptions(what, file, trials, preset, inputs or [], target, as_json, from_, until)
    return run_sweep(options)
