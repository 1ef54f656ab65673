"""`--dry-run`: what would run, and what this machine has. Only what is known; nothing was measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agentforge.cli.machine import cpu_count, disk_free_bytes, memory_bytes, size_text
from agentforge.kit.errors import InvalidInput, Violation
from agentforge.kit.paths import home
from agentforge.kit.records import from_struct
from agentforge.v1 import event_pb2, phase_pb2, pipeline_pb2

if TYPE_CHECKING:
    from agentforge.cli.phase import PhaseOptions
    from agentforge.client import PhaseClient
    from agentforge.kit.refs import ArtifactRef

_EMBEDDED = "inside this process"


def show_pipeline_plan(answer: pipeline_pb2.PlanPipelineResponse, *, embedded: bool, as_json: bool) -> int:
    _refuse(answer.violations)
    phases = [
        _planned(
            p.phase, _EMBEDDED if embedded else p.target, from_struct(p.config), p.config_digest, p.takes, p.makes
        )
        for p in answer.plan
    ]
    return _show({"plan": phases, **_machine()}, as_json=as_json)


def show_phase_plan(
    client: PhaseClient, options: PhaseOptions, config: dict[str, Any], inputs: Sequence[ArtifactRef]
) -> int:
    answer = client.validate(config, inputs=inputs, preset=options.preset, check_inputs=True)
    _refuse(answer.violations)
    about = client.describe()
    target = options.target or _EMBEDDED
    resolved = from_struct(answer.resolved_config)
    plan = _planned(options.name, target, resolved, answer.config_digest, about.takes, about.makes)
    plan["inputs"] = [ref.to_json() for ref in inputs]
    return _show({"plan": [plan], **_machine()}, as_json=options.as_json)


def _refuse(violations: Sequence[event_pb2.ErrorDetail]) -> None:
    if violations:
        raise InvalidInput.of([Violation(v.field, v.message, v.reason, v.next_step) for v in violations])


def _planned(
    phase: str,
    target: str,
    config: dict[str, Any],
    digest: str,
    takes: Sequence[phase_pb2.Slot],
    makes: Sequence[phase_pb2.Slot],
) -> dict[str, Any]:
    return {
        "phase": phase,
        "target": target,
        "takes": [_slot(slot) for slot in takes],
        "makes": [_slot(slot) for slot in makes],
        "config": config,
        "config_digest": digest,
    }


def _slot(slot: phase_pb2.Slot) -> dict[str, Any]:
    most = slot.max_count or None
    return {"name": slot.name, "kind": slot.kind, "min_count": slot.min_count, "max_count": most}


def _machine() -> dict[str, Any]:
    total, available = memory_bytes()
    machine = {
        "home": str(home()),
        "disk_free_bytes": disk_free_bytes(home()),
        "memory_available_bytes": available or None,
        "memory_total_bytes": total or None,
        "cpus": cpu_count(),
    }
    return {"machine": machine}


def _show(plan: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(plan, ensure_ascii=False))
        return 0
    for number, phase in enumerate(plan["plan"], 1):
        kinds = f"{_kinds(phase['takes'])} -> {_kinds(phase['makes'])}"
        where = phase["target"] if phase["target"] == _EMBEDDED else f"at {phase['target']}"
        print(f"{number}. {phase['phase']}: {kinds}, {where}")
        for key, value in sorted(phase["config"].items()):
            print(f"     {key}: {json.dumps(value, ensure_ascii=False)}")
    machine = plan["machine"]
    print(f"volume:  {machine['home']}, {size_text(machine['disk_free_bytes'])} free")
    memory = machine["memory_available_bytes"]
    print(f"machine: {machine['cpus']} CPUs, {size_text(memory) if memory else 'unknown'} of memory available")
    print("The plan is valid. Nothing was started.")
    return 0


def _kinds(slots: Sequence[dict[str, Any]]) -> str:
    return " + ".join(_count(slot) + slot["kind"] for slot in slots) or "nothing"


def _count(slot: dict[str, Any]) -> str:
    least, most = slot["min_count"], slot["max_count"]
    if least == most == 1:
        return ""
    return f"{least}.. " if most is None else f"{least} " if least == most else f"{least}..{most} "
