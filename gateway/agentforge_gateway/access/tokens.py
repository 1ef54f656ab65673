"""Tokens: made, found by their secret, revoked. The secret is shown once and kept nowhere."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import Annotated, Any

from pydantic import Field, StringConstraints
from sqlalchemy import Row, insert, select, update

from agentforge.kit import clock
from agentforge.kit.errors import NotFound
from agentforge_gateway.access.rows import Rows
from agentforge_gateway.access.scopes import Scope
from agentforge_gateway.access.tables import tokens
from agentforge_gateway.models import Model

PREFIX = "af_"  # so that scanners of leaked secrets can know it
_SECRET_CHARACTERS = len(PREFIX) + 43
_NOTE_USE_S = 60.0  # last_used_time is that exact; one write a minute for each token

# No control characters; anything else is a name, and pages escape it.
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Token(Model):
    """What is known of a token; nothing of it opens anything."""

    token_id: str
    name: str
    scopes: list[Scope]
    create_time: str
    expire_time: str | None = None
    last_used_time: str | None = None
    revoke_time: str | None = None

    @property
    def valid(self) -> bool:
        return self.revoke_time is None and (self.expire_time is None or self.expire_time > clock.now())


class NewToken(Model):
    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    expires_in_s: Annotated[
        int | None, Field(gt=0, le=10 * 366 * 86_400, description="Seconds from now; absent: it does not expire.")
    ] = None


class MadeToken(Token):
    secret: str = Field(description="To be sent as 'Authorization: Bearer …'. It is not shown again.")


class Tokens:
    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._noted: dict[str, float] = {}

    async def create(self, asked: NewToken) -> MadeToken:
        secret = PREFIX + secrets.token_urlsafe(32)
        expires = clock.later(asked.expires_in_s) if asked.expires_in_s else None
        made = Token(
            token_id=f"t-{secrets.token_hex(8)}", name=asked.name, scopes=sorted(set(asked.scopes)),
            create_time=clock.now(), expire_time=expires,
        )  # fmt: skip
        row = made.model_dump(mode="json") | {"hash": _hash(secret)}
        await self._rows.write(insert(tokens).values(row))
        return MadeToken(**made.model_dump(), secret=secret)

    async def list(self) -> list[Token]:
        """All that were ever made, newest first: the audit log names them."""
        query = select(tokens).order_by(tokens.c.create_time.desc(), tokens.c.token_id)
        return [_token(row) for row in await self._rows.read(query)]

    async def get(self, token_id: str) -> Token | None:
        rows = await self._rows.read(select(tokens).where(tokens.c.token_id == token_id))
        return _token(rows[0]) if rows else None

    async def revoke(self, token_id: str) -> Token:
        """From now on it opens nothing. A second time it changes nothing."""
        change = update(tokens).where(tokens.c.token_id == token_id, tokens.c.revoke_time.is_(None))
        await self._rows.write(change.values(revoke_time=clock.now()))
        found = await self.get(token_id)
        if found is None:
            raise NotFound(
                f"there is no token {token_id[:64]!r}",
                reason="UNKNOWN_TOKEN",
                field="token_id",
                next_step="`agentforge tokens list` shows them.",
            )
        return found

    async def find(self, secret: str) -> Token | None:
        """The token of this secret, expired and revoked ones, too."""
        if len(secret) != _SECRET_CHARACTERS or not secret.startswith(PREFIX) or not secret.isascii():
            return None  # not one of ours; the database is not asked
        digest = _hash(secret)
        rows = await self._rows.read(select(tokens).where(tokens.c.hash == digest))
        return _token(rows[0]) if rows and hmac.compare_digest(rows[0].hash, digest) else None

    async def note_use(self, token: Token) -> None:
        now = time.monotonic()
        if now - self._noted.get(token.token_id, -_NOTE_USE_S) < _NOTE_USE_S:
            return
        self._noted[token.token_id] = now
        change = update(tokens).where(tokens.c.token_id == token.token_id)
        await self._rows.write(change.values(last_used_time=clock.now()))


def _hash(secret: str) -> str:
    """SHA-256, not a slow password hash: the secret is 256 random bits, so there is nothing to guess, and a slow
    hash on every request would only be a way to keep the gateway busy. Looked up by its hash, a secret's bytes do
    not show in how long the search takes: who chooses the secret cannot choose its hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: Row[Any]) -> Token:
    return Token.model_validate({name: getattr(row, name) for name in Token.model_fields})
