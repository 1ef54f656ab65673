"""A LoRA adapter merged into its registered base, by a run of phase baking that trains nothing: so the merged model
has a lineage and a measured error of the merge, and `models verify --replay` derives it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.cli.failures import brief
from agentforge.cli.interrupt import cancels
from agentforge.cli.naming import new_run_id
from agentforge.cli.results import error_of, short_state
from agentforge.cli.run import follow_pipeline
from agentforge.kit.errors import FailedPrecondition, ForgeError, InvalidInput, RunCancelled, RunFailed
from agentforge.kit.paths import home
from agentforge.kit.records import to_struct
from agentforge.v1 import artifact_pb2, pipeline_pb2, registry_pb2

if TYPE_CHECKING:
    from agentforge.cli.gateway import PipelineClient

_PHASE, _ITEMS = "baking", 16  # held-out prompts of each family on which merged and unmerged are compared


def new_merge_id() -> str:
    return f"merge-{new_run_id()}"


def merge_into_base(
    client: PipelineClient, run_id: str, base: registry_pb2.ModelVersion, adapter: str, *, quiet: bool
) -> str:
    """What is to be registered. `adapter`: its path on the volume."""
    if base.artifact.kind != "model":
        message = f"{base.name}:{base.version} is of kind {base.artifact.kind}, and not a whole model"
        step = "Give the base, or merge one adapter after the other."
        raise FailedPrecondition(message, reason="ADAPTER_BASE", field="base", next_step=step)
    spec = pipeline_pb2.PipelineSpec(
        config={_PHASE: to_struct(_config(home() / base.artifact.path))},
        from_phase=_PHASE,
        until_phase=_PHASE,
        inputs=[
            artifact_pb2.Artifact(
                name="model", kind="model", path=base.artifact.path, sha256=base.artifact.sha256,
            ),
            artifact_pb2.Artifact(name="adapter", kind="adapter", path=adapter),
        ],
    )  # fmt: skip
    pipeline = client.start(run_id, spec)
    _check_ended(_watched(client, run_id) if quiet else follow_pipeline(client, pipeline, as_json=False))
    return f"{run_id}:{_PHASE}/model"


def _watched(client: PipelineClient, run_id: str) -> pipeline_pb2.Pipeline:
    """To its end without a word; Ctrl-C cancels it."""
    with cancels(lambda: client.cancel(run_id, "Ctrl-C")):
        for _ in client.watch(run_id):
            pass
    return client.get(run_id)


def check_mergeable(source: str, base: str) -> None:
    if not base:
        message = f"--merge puts {source} into its base: which is that?"
        step = "Register the base model first, and name it: --base NAME[:VERSION]."
        raise InvalidInput(message, reason="ADAPTER_BASE", field="base", next_step=step)


def _config(base: Path) -> dict[str, Any]:
    """Rows no longer than what the base can read, where this machine sees it."""
    config: dict[str, Any] = {"cycles": {"most": 0}, "evaluation": {"test_items": _ITEMS}}
    limit = _positions(base)
    return config if limit is None else {**config, "data": {"length": min(256, limit)}}


def _positions(base: Path) -> int | None:
    try:
        from agentforge.train.directory import positions, read_json

        return positions(read_json(base / "config.json"))
    except (ModuleNotFoundError, OSError, ForgeError):  # the phase says it better
        return None


def _check_ended(pipeline: pipeline_pb2.Pipeline) -> None:
    state = short_state(pipeline.state)
    if state in ("SUCCEEDED", "REUSED"):
        return
    step = f"See `agentforge show {pipeline.run_id}`; `agentforge resume {pipeline.run_id}` tries it again."
    if state == "CANCELLED":
        raise RunCancelled(f"the merge (run {pipeline.run_id}) was cancelled", next_step=step)
    error: Mapping[str, Any] = error_of(pipeline) or brief(RunFailed(f"it ended {state}"))
    message = f"the merge (run {pipeline.run_id}) failed: {error['message']}"
    raise RunFailed(message, reason=error["reason"], field=error["field"], next_step=error["next_step"] or step)
