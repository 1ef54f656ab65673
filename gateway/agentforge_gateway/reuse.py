"""Outputs of an earlier run that stand for those of this one: the same inputs, config and code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from agentforge.kit import artifacts
from agentforge.kit.digests import digest_json
from agentforge.kit.errors import ForgeError, Unavailable
from agentforge.kit.rundir import RunDirectory
from agentforge_gateway.models import Artifact, PhaseRun
from agentforge_gateway.store import Store


def reuse_key(phase: str, inputs: Iterable[Artifact | artifacts.ArtifactRef], config_digest: str) -> str:
    """`config_digest` covers the phase's code. Paths do not matter, what is in the inputs does."""
    return digest_json([phase, sorted([ref.name, ref.kind, ref.sha256] for ref in inputs), config_digest])


def key_of_finished(home: Path, run_id: str, phase: str) -> str:
    """The key of what has really run, from its DONE.json; empty when that is not there."""
    done = RunDirectory(home, run_id, phase).done()
    return reuse_key(phase, done.parents, done.config_digest) if done else ""


async def find_reusable(
    store: Store, home: Path, key: str, run_id: str, warn: Callable[[str], Awaitable[None]]
) -> PhaseRun | None:
    """The newest phase under this key whose outputs are still what they were; each one that is not is reported."""
    try:
        candidates = await store.reusable(key, but=run_id)
    except Unavailable as error:
        await warn(f"nothing is reused: {error.message}")
        return None
    for candidate in candidates:
        try:
            await asyncio.to_thread(_verify, home, candidate.outputs)
        except ForgeError as error:
            await warn(f"the output of run {candidate.reused_from} cannot be reused: {error}")
        else:
            return candidate
    return None


def _verify(home: Path, outputs: list[Artifact]) -> None:
    for output in outputs:
        artifacts.verify(home, artifacts.ArtifactRef.from_json(output.model_dump()))
