"""The log of changes: a row in the database and a line of JSON for each, done or refused. Nothing is removed."""

from __future__ import annotations

import contextvars
import json
import logging

from pydantic import BaseModel
from sqlalchemy import insert, select

from agentforge.kit import clock
from agentforge.kit.errors import ForgeError
from agentforge_gateway.access.rows import Rows
from agentforge_gateway.access.tables import audit

log = logging.getLogger("agentforge.audit")
_subject: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("subject", default=None)


class Entry(BaseModel):
    number: int
    time: str
    token_id: str
    token_name: str
    action: str
    subject: str
    outcome: str
    address: str


class AuditPage(BaseModel):
    """Newest first."""

    entries: list[Entry]
    next_before: int | None = None


def about(subject: str) -> None:
    """Said by a route of what it changes, where the path does not say it."""
    if (found := _subject.get()) is not None:
        found[:] = [subject]


def listening() -> list[str]:
    """Holds what `about` will have said, in this request."""
    found: list[str] = []
    _subject.set(found)
    return found


class Audit:
    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def write(
        self, *, token_id: str, token_name: str, action: str, subject: str, outcome: str, address: str
    ) -> None:
        """The line is written first: it is there though the database is away."""
        row = {
            "time": clock.now(),
            "token_id": token_id,
            "token_name": token_name,
            "action": action[:200],
            "subject": subject[:200].encode(errors="replace").decode(),
            "outcome": outcome[:64],
            "address": address[:100],
        }
        log.info("%s", json.dumps(row))
        try:
            await self._rows.write(insert(audit).values({**row, "subject": row["subject"].replace("\0", "�")}))
        except ForgeError as error:
            log.error("not in the database: %s", error)  # what was done stays done

    async def page(self, size: int, before: int | None) -> AuditPage:
        query = select(audit).order_by(audit.c.number.desc()).limit(size + 1)
        if before is not None:
            query = query.where(audit.c.number < before)
        rows = await self._rows.read(query)
        entries = [Entry.model_validate(row, from_attributes=True) for row in rows[:size]]
        return AuditPage(entries=entries, next_before=entries[-1].number if len(rows) > size else None)
