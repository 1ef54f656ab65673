"""GET and POST /login, POST /logout: a token becomes a session of this browser."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from agentforge.kit.errors import ForgeError
from agentforge_gateway.access import sessions
from agentforge_gateway.access.callers import Access
from agentforge_gateway.access.headers import with_style

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:24rem;margin:15vh auto;padding:0 1rem;color:#222;background:#fff}
input,button{font:inherit;width:100%;padding:.5rem;margin:.3rem 0;box-sizing:border-box}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#111}}
"""
_MAX_FORM_BYTES = 8192


def login_router(access: Access) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/login")
    async def login_page(next: str = "/") -> Response:
        return _page(next)

    @router.post("/login")
    async def login(request: Request) -> Response:
        body = await request.body()
        try:
            given = parse_qs(body[:_MAX_FORM_BYTES].decode(errors="replace"), max_num_fields=10)
        except ValueError:
            given = {}
        then = _inside(given.get("next", ["/"])[0])
        if not access.closed:
            return RedirectResponse(then, 303)
        try:
            caller = await access.by_secret(given.get("token", [""])[0].strip())
        except ForgeError as error:
            return _page(then, error.message, error.http_status)
        secure = request.url.scheme == "https"
        value = access.sessions.begin(caller.token_id)
        return RedirectResponse(then, 303, {"Set-Cookie": sessions.set_cookie(value, secure=secure)})

    @router.post("/logout")
    async def logout(request: Request) -> Response:
        gone = sessions.set_cookie("", secure=request.url.scheme == "https", max_age_s=0)
        return RedirectResponse("/login", 303, {"Set-Cookie": gone})

    return router


def _page(then: str, wrong: str = "", status: int = 200) -> HTMLResponse:
    told = f'<p role="alert">{escape(wrong[:1].upper() + wrong[1:])}.</p>' if wrong else ""
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Agent Forge: log in</title><style>{_STYLE}</style><main><h1>Agent Forge</h1>{told}"
        f'<form method="post" action="/login"><label for="token">Token</label>'
        f'<input id="token" name="token" type="password" required autofocus autocomplete="current-password">'
        f'<input type="hidden" name="next" value="{escape(_inside(then))}">'
        f"<button>Log in</button></form></main></html>",
        status,
        {"Content-Security-Policy": with_style(_STYLE)},
    )


def _inside(then: str) -> str:
    """A path of this gateway: nobody is sent elsewhere by a link to /login."""
    good = then.startswith("/") and not then.startswith("//") and "\\" not in then and then.isprintable()
    return then if good and then.isascii() else "/"
