"""The last words of a command: the JSON line that scripts read, and the same for people."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agentforge.cli.failures import brief, describe, print_error
from agentforge.cli.progress import measurement_text, state_name
from agentforge.kit.errors import ForgeError
from agentforge.kit.records import error_from_proto, measurement_from_proto
from agentforge.kit.refs import ArtifactRef
from agentforge.v1 import event_pb2, phase_pb2, pipeline_pb2

_EXIT = {"SUCCEEDED": 0, "REUSED": 0, "FAILED": 1, "CANCELLED": 130}


def exit_code(state: str) -> int:
    """Of a final state; a run that is not final was left, not failed."""
    return _EXIT.get(state, 0)


def short_state(state: event_pb2.RunState.ValueType) -> str:
    return state_name(event_pb2.RunState.Name(state))


def line(
    run_id: str | None,
    state: str | None,
    seconds: float,
    outputs: Iterable[dict[str, Any]] = (),
    measurements: Iterable[dict[str, Any]] = (),
    error: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The object of the last line. Its names are relied on outside of this repository: add, do not rename."""
    return {
        "run_id": run_id,
        "state": state,
        "seconds": round(seconds, 3),
        "outputs": list(outputs),
        "measurements": list(measurements),
        "error": dict(error) if error else None,
    }


def of_run(home: Path, run: phase_pb2.Run, seconds: float) -> dict[str, Any]:
    return line(run.run_id, short_state(run.state), seconds, outputs(home, run), measurements(run), error_of(run))


def of_pipeline(home: Path, pipeline: pipeline_pb2.Pipeline, seconds: float) -> dict[str, Any]:
    """As for one phase: the outputs of the last phase that has any, all measurements, and `phases` besides."""
    phases = phases_of(home, pipeline)
    last: list[dict[str, Any]] = next((phase["outputs"] for phase in reversed(phases) if phase["outputs"]), [])
    numbers = [measurement for phase in phases for measurement in phase["measurements"]]
    error = error_of(pipeline)
    result = line(pipeline.run_id, short_state(pipeline.state), seconds, last, numbers, error)
    return {**result, "phases": phases}


def phases_of(home: Path, pipeline: pipeline_pb2.Pipeline) -> list[dict[str, Any]]:
    return [_of_phase(home, phase) for phase in pipeline.phases]


def outputs(home: Path, run: phase_pb2.Run | pipeline_pb2.PhaseRun) -> list[dict[str, Any]]:
    """Paths that can be opened where this machine sees the volume; relative to the volume where it does not."""
    found = []
    for output in run.outputs:
        here = home / output.path
        path = str(here) if here.exists() else output.path
        found.append({"name": output.name, "kind": output.kind, "path": path, "sha256": output.sha256})
    return found


def refs(run: phase_pb2.Run | pipeline_pb2.PhaseRun) -> list[ArtifactRef]:
    return [ArtifactRef.from_proto(output) for output in run.outputs]


def measurements(run: phase_pb2.Run | pipeline_pb2.PhaseRun) -> list[dict[str, Any]]:
    """The last value under each name; `spread` is null where it has no meaning."""
    return [{"spread": None, **measurement_from_proto(m)} for m in run.measurements]


def error_of(holder: phase_pb2.Run | pipeline_pb2.PhaseRun | pipeline_pb2.Pipeline) -> dict[str, Any] | None:
    return error_from_proto(holder.error) if holder.HasField("error") else None


def _of_phase(home: Path, phase: pipeline_pb2.PhaseRun) -> dict[str, Any]:
    seconds = None
    if phase.HasField("start_time") and phase.HasField("end_time"):
        spent = phase.end_time.ToMicroseconds() - phase.start_time.ToMicroseconds()
        seconds = round(max(0, spent) / 1e6, 3)
    return {
        "phase": phase.phase,
        "state": short_state(phase.state) if phase.state else None,
        "seconds": seconds,
        "outputs": outputs(home, phase),
        "measurements": measurements(phase),
        "error": error_of(phase),
        "reused_from": phase.reused_from or None,
    }


@contextmanager
def refusal_line(run_id: str, began: float, *, wanted: bool) -> Iterator[None]:
    """With --json a result is the last line of stdout in every case: also when no run came to be."""
    try:
        yield
    except Exception as error:
        if wanted:
            print_line(line(run_id, None, time.monotonic() - began, error=brief(error)))
        raise


def print_line(result: Mapping[str, Any]) -> None:
    print(json.dumps(result, ensure_ascii=False), flush=True)


def deliver_into(result: dict[str, Any], home: Path, made: Sequence[ArtifactRef], out: Path | None) -> int:
    """Copy the outputs of a good run to `out` and name the copies in the result; the command's exit code."""
    code = exit_code(str(result["state"]))
    if code or out is None:
        return code
    from agentforge.cli.delivery import deliver

    try:
        copies = deliver(home, made, out)
    except (ForgeError, OSError) as error:  # the run is good all the same, and its id must be told
        result["error"] = brief(error)
        return max(1, describe(error)[1])
    for output in result["outputs"]:
        output["path"] = str(copies[output["name"]])
    return 0


def print_measurements(measured: Iterable[dict[str, Any]]) -> None:
    """Results of the whole run. The last of a series (a loss in training) is left to `watch` and --json."""
    for one in measured:
        if one.get("step") is None:
            print(f"  {measurement_text(one)}")


def finish(result: Mapping[str, Any], code: int, *, as_json: bool, resume_hint: str) -> int:
    """Print the result, as a line or for people, and hand on the exit code."""
    if as_json:
        print_line(result)
        return code
    print(f"run {result['run_id']}: {result['state']} after {result['seconds']:.1f} s")
    for output in result["outputs"]:
        print(f"  {output['name']} ({output['kind']}): {output['path']}")
    print_measurements(result["measurements"])
    if error := result["error"]:
        print_error({"violations": (), **error})
    if code and result["state"] != "SUCCEEDED":
        print(f"To go on from the last checkpoint: {resume_hint}", file=sys.stderr)
    return code
