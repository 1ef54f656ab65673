"""Errors over HTTP, as RFC 9457 problem details. The same for what we refuse and for what the framework refuses."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response

from agentforge.kit.errors import ForgeError, InvalidInput, Violation
from agentforge.kit.serve.errors import unexpected
from agentforge_gateway.access.limits import TooMany
from agentforge_gateway.dash.render import page, wants_page
from agentforge_gateway.models import ErrorDetail
from agentforge_gateway.protojson import violations_of_validation

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """RFC 9457, with the reason, field and next step of every agentforge error."""

    type: str
    title: str
    status: int
    detail: str
    reason: str
    field: str = ""
    next_step: str = ""
    violations: list[ErrorDetail] = []


def problem_of(error: ForgeError, status: int | None = None) -> Problem:
    status = status or error.http_status
    return Problem(
        type=f"urn:agentforge:{error.reason.lower()}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=error.message,
        reason=error.reason,
        field=error.field,
        next_step=error.next_step,
        violations=[_detail(violation) for violation in error.violations],
    )


def problem_response(error: ForgeError, status: int | None = None) -> Response:
    problem = problem_of(error, status)
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == HTTPStatus.UNAUTHORIZED else {}
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(error.retry_after_s)
    return JSONResponse(problem.model_dump(), problem.status, headers, MEDIA_TYPE)


def answer(request: HTTPConnection, error: ForgeError, status: int | None = None) -> Response:
    """For people a page that says what to do next, for programs problem details; of the same status."""
    response = problem_response(error, status)
    if not wants_page(request):
        return response
    title = HTTPStatus(response.status_code).phrase
    shown = page(
        request, "problem.html", response.status_code, error=error, title=title, status=response.status_code
    )
    for name in ("WWW-Authenticate", "Retry-After"):
        if name in response.headers:
            shown.headers[name] = response.headers[name]
    return shown


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for the OpenAPI; those that every route may give are added."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in sorted({400, 401, 403, 413, 422, 429, 500, 503, *statuses})
    }


def install(app: FastAPI) -> None:
    app.add_exception_handler(ForgeError, _forge_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _bug)


async def _forge_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ForgeError)
    return answer(request, error)


async def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [
        {**one, "loc": [part for part in one["loc"] if part not in ("body", "query", "path", "header")]}
        for one in error.errors()
    ]
    return answer(request, InvalidInput.of(violations_of_validation(found)))


async def _http_error(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: an unknown path, a wrong method, a body that is no JSON."""
    assert isinstance(error, HTTPException)
    reason = HTTPStatus(error.status_code).name
    response = answer(request, ForgeError(str(error.detail), reason=reason), error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _bug(request: Request, error: Exception) -> Response:
    return answer(request, unexpected(error, f"{request.method} {request.url.path}"))


def _detail(violation: Violation) -> ErrorDetail:
    return ErrorDetail(
        reason=violation.reason, message=violation.message, field=violation.field, next_step=violation.next_step
    )
