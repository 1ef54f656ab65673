"""What stands before every RPC of the gateway: the table of scopes, limits, the audit log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from agentforge.kit.errors import ForgeError, PermissionDenied
from agentforge.kit.serve.interceptor import Admit, Call
from agentforge_gateway.access.callers import CALLING, NOBODY, Access, Caller
from agentforge_gateway.access.scopes import Asked, rpc

_SUBJECTS = ("run_id", "name", "model", "version")  # fields that say what a request is about


def admission(access: Access) -> Admit:
    """For kit.serve.interceptor.Gate."""

    @contextlib.asynccontextmanager
    async def admit(call: Call) -> AsyncIterator[None]:
        asked = rpc(call.method)
        if asked is None:
            raise PermissionDenied(
                f"{call.method} has no entry in the table of scopes, so nobody may call it", reason="NO_SCOPE"
            )
        caller, outcome = NOBODY, "OK"
        try:
            caller = await access.by_header(_header(call))
            caller.need(asked)
            CALLING.set(caller)
            with access.limited(caller):
                yield
        except ForgeError as error:
            outcome = error.reason
            raise
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "CANCELLED"
            raise
        except Exception:
            outcome = "INTERNAL"
            raise
        finally:
            if asked.changing:
                await asyncio.shield(_write_down(access, caller, asked, call, outcome))

    return admit


async def _write_down(access: Access, caller: Caller, asked: Asked, call: Call, outcome: str) -> None:
    await access.audit.write(
        token_id=caller.token_id,
        token_name=caller.name,
        action=asked.action,
        subject=_subject(call),
        outcome=outcome,
        address=call.peer,
    )


def _header(call: Call) -> str:
    given = call.metadata.get("authorization", "")
    return given if isinstance(given, str) else given.decode(errors="replace")


def _subject(call: Call) -> str:
    return next((str(value) for name in _SUBJECTS if (value := getattr(call.request, name, ""))), "")
