"""`agentforge track`: tell W&B or a collector of traces about a run, from its event log."""

from __future__ import annotations

import json

from agentforge.kit.errors import InvalidInput
from agentforge.kit.paths import check_run_id, home
from agentforge.track.source import PIPELINE
from agentforge.track.tell import tell


def track_run(run_id: str, phase: str, to: str, mode: str, *, again: bool, as_json: bool) -> int:
    check_run_id(run_id)
    if to not in ("wandb", "otel"):
        step = "Use --to wandb or --to otel."
        raise InvalidInput(f"there is nobody called {to!r} to tell", field="--to", next_step=step)
    told = tell(to, home(), run_id, phase or PIPELINE, mode=mode, again=again)
    if as_json:
        print(json.dumps({"run_id": run_id, "to": to, "last_sequence": told}))
    else:
        print(f"run {run_id}: told {to} of {told:,} events")
    return 0
