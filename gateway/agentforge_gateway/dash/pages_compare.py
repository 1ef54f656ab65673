"""Runs side by side: what was asked where it differs, and every measurement that two of them made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from agentforge.kit.errors import InvalidInput
from agentforge_gateway.api_models import RunId
from agentforge_gateway.dash.render import page
from agentforge_gateway.models import Measurement, Run
from agentforge_gateway.parts import Parts

_MOST = 6


@dataclass(frozen=True, slots=True)
class Row:
    """One name, and what each run has for it; `difference` is last against first, where both have it."""

    name: str
    cells: list[Any]
    difference: float | None = None


def compare_router(parts: Parts) -> APIRouter:
    router = APIRouter()

    @router.get("/compare")
    async def compare(request: Request, run: Annotated[list[RunId], Query()] = []) -> Response:  # noqa: B006
        ids = list(dict.fromkeys(run))
        if len(ids) > _MOST:
            message = f"{len(ids)} runs are too many to stand side by side: at most {_MOST}"
            raise InvalidInput(message, field="run", next_step="Leave some of them out.")
        runs = [await parts.runs.get(one) for one in ids]
        known, _ = await parts.runs.page(100)
        return page(
            request, "compare.html", runs=runs, known=[one.run_id for one in known], states=states(runs),
            configs=configs(runs) if len(runs) > 1 else [], measured=measured(runs),
        )  # fmt: skip

    return router


def states(runs: Sequence[Run]) -> list[Row]:
    names = dict.fromkeys(phase.phase for run in runs for phase in run.phases)
    of = [{phase.phase: phase for phase in run.phases} for run in runs]
    return [Row(name, [phases.get(name) for phases in of]) for name in names]


def configs(runs: Sequence[Run]) -> list[Row]:
    """Fields that were not the same for all."""
    flat = [dict(field for phase in run.plan for field in _flat(phase.config, phase.phase)) for run in runs]
    names = sorted({name for fields in flat for name in fields})
    rows = [Row(name, [fields.get(name) for fields in flat]) for name in names]
    return [row for row in rows if any(cell != row.cells[0] for cell in row.cells)]


def measured(runs: Sequence[Run]) -> list[Row]:
    of = [{m.name: m for phase in run.phases for m in phase.measurements} for run in runs]
    names = sorted({name for found in of for name in found})
    return [_measured(name, [found.get(name) for found in of]) for name in names]


def _measured(name: str, cells: list[Measurement | None]) -> Row:
    first, last = (cells[0], cells[-1]) if len(cells) > 1 else (None, None)
    return Row(name, cells, last.value - first.value if first and last else None)


def _flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}")
    else:
        yield name, value
