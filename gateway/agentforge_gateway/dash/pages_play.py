"""The playground: a prompt for any model on the volume. Every prompt is answered by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query
from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agentforge.kit.errors import ForgeError, InvalidInput, NotFound
from agentforge.kit.paths import resolve_inside
from agentforge_gateway.access import audit
from agentforge_gateway.dash.render import page, wants_page
from agentforge_gateway.dash.talk import LONGEST_PROMPT, Manner
from agentforge_gateway.models import Model, State
from agentforge_gateway.parts import Parts
from agentforge_gateway.protojson import violations_of_validation
from agentforge_gateway.registry import choosing
from agentforge_gateway.registry.versions import split_ref

_RUNS, _VERSIONS = 20, 5  # of which models are offered
_MOST_FIELDS = 20
_KIND = "model"


class Question(Model):
    """The fields of the form."""

    model: Annotated[str, Field(max_length=4096)] = ""  # NAME[:VERSION|ALIAS], or a path on the volume
    path: Annotated[str, Field(max_length=4096)] = ""  # instead of it
    prompt: Annotated[str, Field(max_length=LONGEST_PROMPT)] = ""
    max_new_tokens: Annotated[int, Field(ge=1, le=1024)] = 64
    temperature: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0.0
    thoughts: bool = False

    @property
    def asked(self) -> str:
        return self.path.strip() or self.model.strip()


class Choice(NamedTuple):
    value: str
    label: str


def play_router(parts: Parts) -> APIRouter:
    router = APIRouter()

    @router.get("/play")
    async def play(request: Request, model: Annotated[str, Query(max_length=4096)] = "") -> Response:
        return await _page(parts, request, Question(model=model).model_dump())

    @router.post("/play/say")
    async def say(request: Request) -> Response:
        """JSON for the page's script; the whole page again without it."""
        async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
            fields = {key: value for key, value in form.items() if isinstance(value, str) and key != "csrf_token"}
        try:
            said = await _answer(parts, fields)
        except ForgeError as error:
            if not wants_page(request):
                raise
            return await _page(parts, request, fields, error=error)
        if not wants_page(request):
            return JSONResponse(said)
        return await _page(parts, request, fields, said=said)

    return router


async def _answer(parts: Parts, fields: dict[str, str]) -> dict[str, Any]:
    try:
        question = Question.model_validate(fields)
    except ValidationError as error:
        raise InvalidInput.of(violations_of_validation(error.errors())) from None
    audit.about(question.asked)
    place = await place_of(parts, question.asked)
    how = Manner(place, question.max_new_tokens, question.temperature, question.thoughts)
    return await parts.talkers.say(how, question.prompt)


async def place_of(parts: Parts, asked: str) -> Path:
    """A directory on the volume: by its path, or by a registered name."""
    home = parts.settings.home
    if not asked:
        raise InvalidInput("no model is chosen", field="model", next_step="Choose one.")
    if "/" not in asked:
        name, which = split_ref(asked)
        asked = choosing.alive(await parts.registry.version(name, which)).artifact.path
    place = await asyncio.to_thread(resolve_inside, home, asked, field="model")
    if not await asyncio.to_thread(place.is_dir):
        message = f"there is no directory {asked[:200]!r} on the volume"
        step = "Choose a model of the list, or give the path of a model's directory."
        raise NotFound(message, reason="ARTIFACT_NOT_FOUND", field="model", next_step=step)
    return place


async def _choices(parts: Parts) -> dict[str, list[Choice]]:
    """Under the headings of the list."""
    registered = [
        Choice(f"{one.name}:{one.version}", " ".join([one.name, one.version, *one.aliases]))
        for model in (await parts.registry.page()).models
        for one in [version for version in model.versions if version.tombstone is None][:_VERSIONS]
    ]
    runs, _ = await parts.runs.page(_RUNS, states=(State.SUCCEEDED,))
    made = {
        output.path: f"{run.run_id}: {phase.phase}/{output.name}"
        for run in runs
        for phase in reversed(run.phases)
        for output in phase.outputs
        if output.kind == _KIND
    }
    return {"Registered": registered, "Made by runs": [Choice(*one) for one in made.items()]}


async def _page(
    parts: Parts, request: Request, fields: dict[str, Any],
    said: dict[str, Any] | None = None, error: ForgeError | None = None,
) -> Response:  # fmt: skip
    filled = {key: str(value) for key, value in Question().model_dump().items()} | fields
    choices = await _choices(parts)
    if (given := filled["model"]) and not any(given == one.value for group in choices.values() for one in group):
        choices = {"Asked for": [Choice(given, given)], **choices}
    return page(
        request, "play.html", 200 if error is None else error.http_status, filled=filled, choices=choices,
        said=said, error=error, limits=parts.talkers.limits, longest=LONGEST_PROMPT,
    )  # fmt: skip
