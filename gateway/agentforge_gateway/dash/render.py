"""Templates, what they may call, and the headers of a page."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse

from agentforge_gateway.access.headers import PAGES
from agentforge_gateway.models import Progress, State

HEADERS = {"Content-Security-Policy": PAGES, "Cache-Control": "no-store"}  # the guard adds those of every answer
_MACROS = ("state_badge", "problem", "button", "described", "table", "hidden", "promote", "refusal")
_MARKS = {"succeeded": "✓", "reused": "↺", "failed": "✕", "cancelled": "◼", "running": "▶", "cancelling": "…"}


def page(request: HTTPConnection, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
    """A whole page; `request` says who looks (a session's form token) and which part of the menu it is."""
    path, state = request.url.path, request.state
    whole = {
        "path": path,
        "login_next": path if request.scope.get("method") == "GET" else "/",
        "form_token": getattr(state, "form_token", ""),
        "closed": getattr(state, "closed", False),
    }
    return HTMLResponse(environment().get_template(template).render(whole | values), status_code, HEADERS)


def wants_page(request: HTTPConnection) -> bool:
    """People with a browser, who are not at the routes for programs."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/v1/")


def fragment(template: str, **values: Any) -> str:
    """A part of a page, for its first drawing and for each further one."""
    return environment().get_template(template).render(values)


@cache
def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("agentforge_gateway.dash"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "state": state_word, "mark": lambda state: _MARKS.get(state_word(state), "·"), "number": number,
        "bytes": byte_size, "seconds": duration, "clock": clock_time, "percent": percent, "script": script_json,
        "verbatim": Markup,  # for our own files and Plotly's alone
        "select_phase": lambda named, phase: any(name.startswith(f"{phase}.") for name in named),
    }  # fmt: skip
    made.globals["seconds_between"] = seconds_between
    macros = made.get_template("macros.html").module
    made.globals |= {name: getattr(macros, name) for name in _MACROS}
    return made


def state_word(state: State | str | None) -> str:
    return "waiting" if state is None else str(getattr(state, "value", state)).removeprefix("RUN_STATE_").lower()


def number(value: float | None) -> str:
    """Four digits that count; whole numbers with separators."""
    if value is None:
        return "–"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 1e4 else f"{value:.4g}"


def byte_size(size: int) -> str:
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def clock_time(moment: str | None) -> str:
    return "–" if not moment else datetime.fromisoformat(moment).strftime("%Y-%m-%d %H:%M:%S")


def seconds_between(start: str | None, end: str | None) -> float | None:
    if not start or not end:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def percent(progress: Progress | None) -> int | None:
    return None if progress is None or not progress.total else min(100, 100 * progress.done // progress.total)


def script_json(value: Any) -> Markup:
    """JSON that may stand inside <script type="application/json">."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("&", "\\u0026"))  # noqa: S704 - nothing is left to escape
