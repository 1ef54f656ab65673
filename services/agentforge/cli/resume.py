"""`agentforge resume`: go on with a run from its last checkpoint, and follow it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agentforge.cli import results
from agentforge.cli.connect import connect_gateway, connect_phase
from agentforge.cli.phase import follow_run
from agentforge.cli.run import follow_pipeline
from agentforge.cli.several import given_environment
from agentforge.kit.paths import check_run_id, home
from agentforge.kit.records import from_struct
from agentforge.kit.refs import ArtifactRef

if TYPE_CHECKING:
    from agentforge.cli.records import Place


def resume_run(place: Place, run_id: str, *, as_json: bool) -> int:
    began = time.monotonic()
    with results.refusal_line(run_id, began, wanted=as_json):
        check_run_id(run_id)
        result = _phase(place, run_id, began, as_json) if place.phase else _pipeline(place, run_id, began, as_json)
    where = f" --phase {place.phase}" if place.phase else ""
    hint = f"{given_environment()}agentforge resume {run_id}{where}"
    return results.finish(result, results.exit_code(str(result["state"])), as_json=as_json, resume_hint=hint)


def _phase(place: Place, run_id: str, began: float, as_json: bool) -> dict[str, object]:
    """The same request once more, as the service recorded it."""
    with connect_phase(place.phase, place.target) as client:
        asked = client.get(run_id)
        inputs = [ArtifactRef.from_proto(artifact) for artifact in asked.inputs]
        run = client.start(run_id, config=from_struct(asked.config), inputs=inputs, retry=True)
        run = follow_run(client, run, as_json=as_json, after=asked.last_sequence)
    return results.of_run(home(), run, time.monotonic() - began)


def _pipeline(place: Place, run_id: str, began: float, as_json: bool) -> dict[str, object]:
    with connect_gateway(place.gateway, own=run_id) as gateway:
        before = gateway.get(run_id).last_sequence
        pipeline = follow_pipeline(gateway, gateway.resume(run_id), as_json=as_json, after=before)
    return results.of_pipeline(home(), pipeline, time.monotonic() - began)
