"""`agentforge track`: tell W&B or a collector of traces about a run, from its event log."""

from __future__ import annotations

import json
import os
import sys

from agentforge.kit.errors import FailedPrecondition, InvalidInput
from agentforge.kit.paths import check_run_id, home
from agentforge.track.mode import VARIABLE, Mode, check_here, decide
from agentforge.track.source import PIPELINE
from agentforge.track.tell import tell


def choose_tracking(mode: str, elsewhere: str) -> None:
    """`--track MODE` of a run that is about to start: decided here, for all that the run starts. A server is not
    asked whether it is there: the run is not to wait for it."""
    if not mode:
        return
    if elsewhere:
        message = f"--track: who runs at {elsewhere} decides that, by its own {VARIABLE}"
        step = "Leave it out; `agentforge track RUN_ID` tells of a run from any machine with the volume."
        raise InvalidInput(message, reason="CONFLICTING_OPTIONS", field="--track", next_step=step)
    chosen = decide(mode)
    if chosen is Mode.DISABLED and mode.strip().lower() != Mode.DISABLED:
        message = f"--track {mode}, and WANDB_MODE=disabled turns W&B off"
        step = "Unset WANDB_MODE, or leave --track out."
        raise FailedPrecondition(message, reason="TRACKING_DISABLED", field="--track", next_step=step)
    check_here(chosen)
    os.environ[VARIABLE] = chosen.value
    if chosen is not Mode.DISABLED:
        place = home() / "track"
        print(f"W&B is told {chosen.value}; how that goes is in {place}/RUN_ID/wandb/sink.log", file=sys.stderr)


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
