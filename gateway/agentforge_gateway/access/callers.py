"""Who calls: by a bearer token, by a browser's session, or anybody where no token is set."""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from agentforge.kit.errors import ForgeError, PermissionDenied, Unauthenticated
from agentforge_gateway.access.audit import Audit
from agentforge_gateway.access.limits import Limits
from agentforge_gateway.access.rows import Rows
from agentforge_gateway.access.scopes import Asked, Scope
from agentforge_gateway.access.sessions import Sessions
from agentforge_gateway.access.tokens import Token, Tokens

ROOT = "root"  # the id of the environment's token
_MAX_CREDENTIAL = 4096  # characters; what is longer is not looked at
_BEARER = "bearer "
_CLAIMED = 140  # characters; with a name of a token they fit the column


@dataclass(frozen=True, slots=True)
class Caller:
    token_id: str
    name: str
    scopes: frozenset[Scope]
    cookie: str = ""  # of a session; empty: each request carries its token

    def need(self, asked: Asked) -> None:
        if asked.scope is None or asked.scope in self.scopes:
            return
        if asked.scope is Scope.READ and self.scopes:  # whoever may anything may read
            return
        raise PermissionDenied(
            f"the token {self.name!r} may not: {asked.action} needs the scope {asked.scope.value!r}",
            reason="SCOPE_NEEDED",
            field="Authorization",
            next_step="Take a token with that scope, or have one made: `agentforge tokens create`.",
        )


CALLING: ContextVar[Caller] = ContextVar("agentforge_caller")
"""Of the request that this task answers."""


def signature(claimed: str, otherwise: str) -> str:
    """Who did it, for a log that stays: what a caller says of itself never hides its token's name."""
    caller = CALLING.get(NOBODY)
    if not caller.token_id or claimed == caller.name:
        return claimed or otherwise
    return f"{claimed[:_CLAIMED]} (token {caller.name})" if claimed else caller.name


ANYBODY = Caller("", "anybody", frozenset(Scope))
NOBODY = Caller("", "nobody", frozenset())
ROOT_CALLER = Caller(ROOT, ROOT, frozenset(Scope))


class Access:
    """Without a root token everybody may everything: settings.check_exposure keeps such a gateway on loopback."""

    def __init__(self, root_token: str, rows: Rows, limits: Limits) -> None:
        self.closed = bool(root_token)
        self.tokens = Tokens(rows)
        self.audit = Audit(rows)
        self.sessions = Sessions(root_token)
        self._root = root_token.encode()
        self._limits = limits

    async def by_header(self, authorization: str) -> Caller:
        """Of a header 'Authorization: Bearer …'."""
        if not self.closed:
            return ANYBODY
        if not authorization:
            raise _unknown("a bearer token is needed")
        if authorization[: len(_BEARER)].lower() != _BEARER:
            raise _unknown("the header Authorization does not say Bearer")
        return await self.by_secret(authorization[len(_BEARER) :])

    async def by_secret(self, secret: str) -> Caller:
        """Compared in constant time; the same answer for all that does not open."""
        if len(secret) > _MAX_CREDENTIAL:
            raise _unknown("the bearer token is wrong")
        if hmac.compare_digest(secret.encode(errors="replace"), self._root):
            return ROOT_CALLER
        return await self._valid(await self.tokens.find(secret))

    async def by_cookie(self, cookie: str) -> Caller:
        token_id = self.sessions.token_id(cookie[:_MAX_CREDENTIAL]) if self.closed else ""
        if not token_id:
            raise _unknown("the session is over")
        if token_id == ROOT:
            return Caller(ROOT, ROOT, frozenset(Scope), cookie)
        caller = await self._valid(await self.tokens.get(token_id))
        return Caller(caller.token_id, caller.name, caller.scopes, cookie)

    @contextlib.contextmanager
    def limited(self, caller: Caller) -> Iterator[None]:
        """The root token and an open gateway are their operator's own: no limits."""
        if caller.token_id in ("", ROOT):
            yield
            return
        with self._limits.taken(caller.token_id):
            yield

    async def _valid(self, token: Token | None) -> Caller:
        if token is None:
            raise _unknown("the bearer token is wrong")
        if not token.valid:
            raise _unknown("the bearer token was revoked" if token.revoke_time else "the bearer token has expired")
        with contextlib.suppress(ForgeError):  # a database that cannot be written does not lock readers out
            await self.tokens.note_use(token)
        return Caller(token.token_id, token.name, frozenset(token.scopes))


def _unknown(why: str) -> Unauthenticated:
    return Unauthenticated(
        why,
        field="Authorization",
        next_step="Send 'Authorization: Bearer TOKEN' with a token of this gateway (AGENTFORGE_TOKEN).",
    )
