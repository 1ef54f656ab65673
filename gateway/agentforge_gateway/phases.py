"""The phases by themselves: which there are, and runs of one phase outside any pipeline."""

from __future__ import annotations

import asyncio

from agentforge.kit.errors import ForgeError
from agentforge.v1 import event_pb2, pipeline_pb2
from agentforge_gateway.links import Link, Links

_DESCRIBE_S = 3.0  # one phase that hangs must not hold up the list of all


async def statuses(links: Links) -> list[pipeline_pb2.PhaseStatus]:
    """All phases in pipeline order, each with its description or the reason why there is none."""
    return list(await asyncio.gather(*(status(links[name]) for name in links.names)))


async def status(link: Link) -> pipeline_pb2.PhaseStatus:
    found = pipeline_pb2.PhaseStatus(phase=link.name, target=link.target)
    try:
        found.description.CopyFrom(await link.describe(_DESCRIBE_S))
    except ForgeError as error:
        detail = event_pb2.ErrorDetail(
            reason=error.reason, message=error.message, field=error.field, next_step=error.next_step
        )
        found.error.CopyFrom(detail)
    return found
