"""Forms that a browser sends, read by the rules of the REST routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse

from agentforge.kit.errors import InvalidInput
from agentforge_gateway.models import Model
from agentforge_gateway.protojson import violations_of_validation

_MOST_FIELDS = 20
Form = dict[str, str]
T = TypeVar("T", bound=Model)


async def form_of(request: Request) -> Form:
    async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


def given(form: Form, *names: str) -> Form:
    """These fields, without the spaces around them."""
    return {name: form.get(name, "").strip() for name in names}


def checked(of: type[T], values: Mapping[str, Any]) -> T:
    try:
        return of.model_validate(values)
    except ValidationError as error:
        raise InvalidInput.of(violations_of_validation(error.errors())) from None


def who(request: Request) -> str:
    """By its token; the registry has words for a gateway that asks for none."""
    caller = request.state.caller
    return caller.name if caller.token_id else ""


def to_version(name: str, version: str, part: str = "") -> RedirectResponse:
    """`part`: the id of an element of its page."""
    return RedirectResponse(f"/models/{name}?version={version}{part and '#'}{part}", status_code=303)
