"""A run at W&B. The one place that imports wandb."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentforge.kit.errors import DiskFull, Unavailable
from agentforge.track import wandb_file
from agentforge.track.mode import Mode

_INIT_S = 60.0
_WRITTEN_S = 5.0


def open_run(
    mode: Mode, *, run_id: str, name: str, group: str, job_type: str, config: Mapping[str, Any], directory: Path
) -> Any:
    """A wandb.Run; the same `run_id` again goes on with the same one at the server. `directory` must exist.

    Settings come from here and not from the machine: no git, no code, no console, and no statistics of the machine,
    which would be those of the process that tells and not of the one that works.
    """
    import wandb

    settings = wandb.Settings(
        console="off",
        disable_git=True,
        save_code=False,
        x_disable_stats=True,
        silent=True,
        init_timeout=_INIT_S,
    )
    try:
        return wandb.init(
            mode=mode.value,
            id=run_id,
            name=name,
            group=group,
            job_type=job_type,
            config=dict(config),
            dir=str(directory),
            project=os.environ.get("WANDB_PROJECT") or "agentforge",
            entity=os.environ.get("WANDB_ENTITY") or None,
            # A server knows whether the run exists; files of an offline one are merged when they are synchronised.
            resume="allow" if mode is Mode.ONLINE else None,
            reinit="create_new",
            settings=settings,
        )
    except wandb.errors.Error as error:
        raise Unavailable(
            f"W&B did not take run {run_id}: {error}",
            reason="WANDB_REFUSED",
            field=run_id,
            next_step="Nothing is lost: `agentforge track RUN_ID` tells it again, from the run's log.",
        ) from None


def files_of(run: Any) -> Path:
    """Where an offline run lies."""
    return Path(run.settings.sync_dir)


def check_written(run: Any, last_step: int) -> None:
    """Raise unless an offline run's file has all that was told."""
    path = Path(run.settings.sync_file)
    deadline = time.monotonic() + _WRITTEN_S
    found = wandb_file.last_step(path)
    while found is None and time.monotonic() < deadline:  # finish() comes back before the file is written out
        time.sleep(0.05)
        found = wandb_file.last_step(path)
    if found is None or found < last_step:
        raise DiskFull(
            f"W&B did not write all of {path.name}: it ends at step {found}, and {last_step} was told",
            reason="WANDB_FILE_TORN",
            field=str(path),
            next_step="Make space there, then call `agentforge track RUN_ID`: it is told again.",
        )


def table(columns: list[str | int], rows: list[list[Any]]) -> Any:
    import wandb

    return wandb.Table(columns=columns, data=rows, allow_mixed_types=True)


def histogram(values: list[float], bins: int = 64) -> Any:
    """Made by hand, as wandb's own needs numpy for it."""
    import wandb

    low, high = min(values), max(values)
    bins = bins if high > low else 1
    width = (high - low) / bins or 1.0
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((value - low) / width))] += 1
    edges = [low + width * i for i in range(bins + 1)]
    return wandb.Histogram(np_histogram=(counts, edges))  # type: ignore[arg-type]  # lists do


def artifact(
    name: str, kind: str, metadata: Mapping[str, Any], *, upload: Path | None = None, reference: str = ""
) -> Any:
    """With the bytes of `upload`, or with a reference to where they are and what their digest is."""
    import wandb

    made = wandb.Artifact(name, type=kind, metadata=dict(metadata))
    if upload is None:
        made.add_reference(reference, name=name, checksum=False)
    elif upload.is_dir():
        made.add_dir(str(upload))
    else:
        made.add_file(str(upload))
    return made
