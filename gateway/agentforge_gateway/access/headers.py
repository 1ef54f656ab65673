"""Headers of every answer that tell browsers what not to do."""

from __future__ import annotations

import base64
import hashlib

from starlette.datastructures import MutableHeaders

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
    "Cross-Origin-Opener-Policy": "same-origin",
}
_NOWHERE = "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
DATA = f"default-src 'none'; {_NOWHERE}"
# Plotly puts style rules into the page by itself; scripts come from files of ours alone.
PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    f"font-src 'self'; connect-src 'self'; {_NOWHERE}"
)
# One file that holds its scripts itself: it runs as a stranger here, without cookies, and can ask nobody.
REPORT = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    f"style-src 'unsafe-inline'; img-src data: blob:; {_NOWHERE}"
)


def with_style(style: str) -> str:
    """For a page without scripts whose only style is this."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; {_NOWHERE}"


def protect(headers: MutableHeaders, path: str, *, secure: bool) -> None:
    """A policy that the page brings itself stays."""
    for name, value in _ALWAYS.items():
        headers.setdefault(name, value)
    html = headers.get("content-type", "").startswith("text/html")
    policy = REPORT if path.endswith("/report.html") else PAGES if html else DATA
    headers.setdefault("Content-Security-Policy", policy)
    if not path.startswith("/static/"):
        headers.setdefault("Cache-Control", "no-store")  # what a token opened is nobody else's to keep
    if secure:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000")
