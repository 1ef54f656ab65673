"""The reading verbs, and cancel: runs of the pipeline at the gateway, or runs of one phase at its service."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentforge.cli import results
from agentforge.cli.connect import connect_gateway, connect_phase
from agentforge.cli.progress import follower
from agentforge.kit.errors import InvalidInput
from agentforge.kit.paths import check_run_id, home
from agentforge.kit.records import from_struct
from agentforge.v1 import phase_pb2, pipeline_pb2

if TYPE_CHECKING:
    from agentforge.cli.gateway import PipelineClient
    from agentforge.client import PhaseClient


@dataclass(frozen=True, slots=True)
class Place:
    """Where the runs are that a command asks about."""

    phase: str  # empty: runs of the pipeline
    target: str
    gateway: str

    def __post_init__(self) -> None:
        if self.target and not self.phase:
            raise InvalidInput(
                "--target names a phase service, but no phase is named",
                reason="MISSING_PHASE",
                field="phase",
                next_step="Add --phase PHASE, or name a gateway with --gateway HOST:PORT.",
            )


def list_runs(place: Place, limit: int, *, as_json: bool) -> int:
    if place.phase:
        with connect_phase(place.phase, place.target) as client:
            runs = [_of_run(run, full=False) for run in client.list(limit)]
    else:
        with connect_gateway(place.gateway, phases=False) as gateway:
            runs = [_of_pipeline(pipeline, full=False) for pipeline in gateway.list(limit)]
    if as_json:
        print(json.dumps({"runs": runs}, ensure_ascii=False))
        return 0
    for run in runs:
        phases = " ".join(f"{p['phase']}:{p['state'] or '-'}" for p in run.get("phases", ()))
        print(f"{run['run_id']:<28} {run['state']:<10} {run['create_time'][:19]}  {phases}".rstrip())
    if not runs:
        print(f"no runs in {home()}" if not (place.target or place.gateway) else "no runs")
    return 0


def show_run(place: Place, run_id: str, *, as_json: bool) -> int:
    check_run_id(run_id)
    if place.phase:
        with connect_phase(place.phase, place.target) as client:
            shown = _of_run(client.get(run_id), full=True)
    else:
        with connect_gateway(place.gateway, phases=False) as gateway:
            shown = _of_pipeline(gateway.get(run_id), full=True)
    if as_json:
        print(json.dumps(shown, ensure_ascii=False))
    else:
        _print_run(shown)
    return 0


def watch_run(place: Place, run_id: str, after: int, *, as_json: bool) -> int:
    """The exit code is that of the run's final state."""
    check_run_id(run_id)
    if place.phase:
        with connect_phase(place.phase, place.target) as client, follower(as_json=as_json) as view:
            for record in client.watch(run_id, after):
                view.feed(record)
            return results.exit_code(results.short_state(client.get(run_id).state))
    with connect_gateway(place.gateway, phases=False) as gateway, follower(as_json=as_json) as view:
        for record in gateway.watch(run_id, after):
            view.feed(record)
        return results.exit_code(results.short_state(gateway.get(run_id).state))


def cancel_run(place: Place, run_id: str, reason: str, *, as_json: bool) -> int:
    """A server elsewhere sees to the end of the run by itself; an embedded one lives until the end."""

    check_run_id(run_id)
    client: PhaseClient | PipelineClient
    with ExitStack() as stack:
        if place.phase:
            client = stack.enter_context(connect_phase(place.phase, place.target))
        else:
            client = stack.enter_context(connect_gateway(place.gateway, own=run_id))
        run = client.cancel(run_id, reason)
        if not (place.target or place.gateway):
            for _ in client.watch(run_id):
                pass
            run = client.get(run_id)
    state = results.short_state(run.state)
    print(json.dumps({"run_id": run_id, "state": state}) if as_json else f"run {run_id}: {state}")
    return 0


def _of_run(run: phase_pb2.Run, *, full: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "run_id": run.run_id,
        "phase": run.phase,
        "state": results.short_state(run.state),
        "attempt": run.attempt,
        "create_time": run.create_time.ToJsonString(),
        "update_time": run.update_time.ToJsonString(),
    }
    if full:
        shown |= {
            "config": from_struct(run.config),
            "inputs": [_artifact(a) for a in run.inputs],
            "outputs": results.outputs(home(), run),
            "measurements": results.measurements(run),
            "error": results.error_of(run),
        }
    return shown


def _of_pipeline(pipeline: pipeline_pb2.Pipeline, *, full: bool) -> dict[str, Any]:
    phases = results.phases_of(home(), pipeline)
    shown: dict[str, Any] = {
        "run_id": pipeline.run_id,
        "preset": pipeline.spec.preset,
        "state": results.short_state(pipeline.state),
        "create_time": pipeline.create_time.ToJsonString(),
        "update_time": pipeline.update_time.ToJsonString(),
        "phases": phases if full else [{"phase": p["phase"], "state": p["state"]} for p in phases],
    }
    if full:
        shown["config"] = {p.phase: from_struct(p.config) for p in pipeline.plan}
        shown["error"] = results.error_of(pipeline)
    return shown


def _artifact(artifact: Any) -> dict[str, Any]:
    return {"name": artifact.name, "kind": artifact.kind, "path": artifact.path, "sha256": artifact.sha256}


def _print_run(shown: dict[str, Any]) -> None:
    print(f"run     {shown['run_id']}: {shown['state']}")
    print(f"made    {shown['create_time'][:19]}, last changed {shown['update_time'][:19]}")
    parts: Sequence[dict[str, Any]] = shown.get("phases") or [shown]
    for part in parts:
        spent = f" in {part['seconds']:.1f} s" if part.get("seconds") is not None else ""
        reused = f" (from run {part['reused_from']})" if part.get("reused_from") else ""
        print(f"\n{part['phase']}: {part['state'] or 'not begun'}{spent}{reused}")
        for output in part["outputs"]:
            print(f"  {output['name']} ({output['kind']}): {output['path']}")
        results.print_measurements(part["measurements"])
        if error := part["error"]:
            print(f"  error: {error['message']}\n  next:  {error['next_step']}")
    if shown.get("phases") is not None and shown["error"]:
        print(f"\nerror: {shown['error']['message']}\nnext:  {shown['error']['next_step']}")
