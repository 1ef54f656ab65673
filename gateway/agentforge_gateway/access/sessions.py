"""Sessions of browsers: a cookie that says which token it stands for, signed, so that no gateway keeps a list.

The key follows from the root token: several gateways agree on it, and a new root token ends all sessions. What the
cookie's token may do is looked up at every request, so that a revoked token's sessions end with it.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from urllib.parse import parse_qs

COOKIE = "agentforge_session"
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"
LASTS_S = 12 * 3600
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Sessions:
    def __init__(self, root_token: str) -> None:
        self._key = hmac.digest(root_token.encode(), b"agentforge session", "sha256")

    def begin(self, token_id: str) -> str:
        """The cookie's value."""
        said = f"{token_id}.{int(time.time()) + LASTS_S}"
        return f"{said}.{self._sign('session', said)}"

    def token_id(self, cookie: str) -> str:
        """Whose session it is; empty when it is none of ours, or over."""
        said, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign("session", said).encode()):
            return ""
        token_id, _, until = said.rpartition(".")
        return token_id if int(until) > time.time() else ""

    def csrf(self, cookie: str) -> str:
        """What forms and scripts of our pages send back; another site cannot read it."""
        return self._sign("csrf", cookie)

    def same(self, cookie: str, csrf: str) -> bool:
        return hmac.compare_digest(csrf.encode(), self.csrf(cookie).encode())

    def _sign(self, use: str, said: str) -> str:
        return hmac.new(self._key, f"{use}:{said}".encode(errors="replace"), hashlib.sha256).hexdigest()


def set_cookie(value: str, *, secure: bool, max_age_s: int = LASTS_S) -> str:
    """The header. SameSite=Strict: it is not sent along when another site links or posts here."""
    tail = "; Secure" if secure else ""
    return f"{COOKIE}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{tail}"


def own_origin(headers: Mapping[str, str], *, secure: bool) -> bool:
    """Whether a browser says that the request comes from a page of this very gateway (or says nothing of it)."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    schemes = ("https://",) if secure else ("https://", "http://")  # a proxy may speak TLS for us
    return any(origin == f"{scheme}{headers.get('host', '')}" for scheme in schemes)


def csrf_of_form(content_type: str, body: bytes) -> str:
    if not content_type.startswith("application/x-www-form-urlencoded"):
        return ""
    try:
        fields = parse_qs(body.decode(errors="replace"), max_num_fields=10_000)
    except ValueError:
        return ""
    return fields.get(CSRF_FIELD, [""])[0]
