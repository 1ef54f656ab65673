"""Starting a run: a form of all fields of all phases, where only what differs from the preset is filled in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from agentforge.kit.errors import ForgeError, Violation
from agentforge.kit.phase import load_pipeline
from agentforge.kit.serve.errors import violations_of
from agentforge.kit.serve.values import from_struct
from agentforge_gateway import phases
from agentforge_gateway.api_models import new_run_id
from agentforge_gateway.dash.forms import Group, groups_of, overrides
from agentforge_gateway.dash.render import page
from agentforge_gateway.models import PipelineSpec, StartRequest
from agentforge_gateway.parts import Parts

_MOST_FIELDS = 5000


@dataclass(frozen=True, slots=True)
class PhaseForm:
    name: str
    summary: str
    groups: list[Group]
    away: str = ""  # why its fields are not known


@dataclass(frozen=True, slots=True)
class Filled:
    """What stands in the form, to be shown again beside what is wrong with it."""

    preset: str
    from_phase: str = ""
    until_phase: str = ""
    run_id: str = ""
    values: Mapping[str, str] = field(default_factory=dict)  # "phase.path" to text
    wrong: Mapping[str, Violation] = field(default_factory=dict)


def start_router(parts: Parts) -> APIRouter:
    router = APIRouter()

    @router.get("/start")
    async def start_page(request: Request, preset: Annotated[str, Query(max_length=256)] = "tiny") -> Response:
        return await _form(parts, request, Filled(preset))

    @router.post("/start")
    async def start(request: Request) -> Response:
        async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
            filled = _filled({name: value for name, value in form.items() if isinstance(value, str)})
        config, wrong = overrides(filled.values)
        if not wrong:
            try:
                spec = _asked(filled, config)
                run, _ = await parts.runs.start(filled.run_id or new_run_id(), spec)
                return RedirectResponse(f"/runs/{run.run_id}", status_code=303)
            except ValidationError as error:
                wrong = [Violation(str(e["loc"][0]), e["msg"], "INVALID_VALUE", "") for e in error.errors()]
            except ForgeError as error:
                wrong = list(violations_of(error))
        again = Filled(
            filled.preset, filled.from_phase, filled.until_phase, filled.run_id, filled.values,
            {violation.field: violation for violation in wrong},
        )  # fmt: skip
        return await _form(parts, request, again, 422)

    return router


def _filled(form: Mapping[str, str]) -> Filled:
    values = {name.removeprefix("set."): text for name, text in form.items() if name.startswith("set.") and text}
    preset, first, last, run_id = (
        form.get(name, "").strip() for name in ("preset", "from_phase", "until_phase", "run_id")
    )
    return Filled(preset, first, last, run_id, values)


def _asked(filled: Filled, config: dict[str, Any]) -> PipelineSpec:
    """By the rules of POST /v1/runs."""
    asked = StartRequest.model_validate(
        {
            "preset": filled.preset, "config": config, "from_phase": filled.from_phase,
            "until_phase": filled.until_phase, "run_id": filled.run_id or None,
        }
    )  # fmt: skip
    return PipelineSpec.model_validate(asked.model_dump(exclude={"run_id"}))


async def _form(parts: Parts, request: Request, filled: Filled, status_code: int = 200) -> Response:
    forms = await _phase_forms(parts, filled.preset)
    shown = {f"{form.name}.{one.path}" for form in forms for group in form.groups for one in group.fields}
    elsewhere = [violation for name, violation in filled.wrong.items() if name not in shown]
    presets = await asyncio.to_thread(lambda: sorted(load_pipeline().presets))
    return page(
        request, "start.html", status_code, forms=forms, filled=filled, elsewhere=elsewhere, presets=presets,
        names=parts.links.names,
    )  # fmt: skip


async def _phase_forms(parts: Parts, preset: str) -> Sequence[PhaseForm]:
    forms = []
    for status in await phases.statuses(parts.links):
        if status.HasField("error"):
            forms.append(PhaseForm(status.phase, "", [], status.error.message))
            continue
        said = status.description
        fixed = from_struct(said.presets[preset]) if preset in said.presets else {}
        forms.append(PhaseForm(status.phase, said.summary, groups_of(from_struct(said.config_schema), fixed)))
    return forms
