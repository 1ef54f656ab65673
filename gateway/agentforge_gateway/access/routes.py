"""/v1/tokens and /v1/audit, for callers with the scope admin."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel

from agentforge_gateway import problems
from agentforge_gateway.access import audit
from agentforge_gateway.access.audit import AuditPage
from agentforge_gateway.access.callers import Access
from agentforge_gateway.access.tokens import MadeToken, NewToken, Token

TokenId = Annotated[str, Path(pattern=r"^t-[0-9a-f]{16}$", description="As `token_id` in the list.")]


class TokenList(BaseModel):
    tokens: list[Token]


def access_router(access: Access) -> APIRouter:
    router = APIRouter(tags=["access"])

    @router.post("/v1/tokens", status_code=201, responses=problems.documented(403))
    async def create_token(request: NewToken) -> MadeToken:
        """Make a token. Its secret is in this answer and nowhere else."""
        made = await access.tokens.create(request)
        audit.about(made.token_id)
        return made

    @router.get("/v1/tokens", responses=problems.documented(403))
    async def list_tokens() -> TokenList:
        """All that were ever made, newest first; revoked and expired ones, too."""
        return TokenList(tokens=await access.tokens.list())

    @router.delete("/v1/tokens/{token_id}", responses=problems.documented(403, 404))
    async def revoke_token(token_id: TokenId) -> Token:
        """From now on it opens nothing. A second time it changes nothing."""
        audit.about(token_id)
        return await access.tokens.revoke(token_id)

    @router.get("/v1/audit", responses=problems.documented(403))
    async def audit_log(
        page_size: Annotated[int, Query(ge=1, le=1000)] = 100,
        before: Annotated[int | None, Query(ge=1, le=2**53, description="Only entries before this number.")] = None,
    ) -> AuditPage:
        """What was changed, by whom, newest first."""
        return await access.audit.page(page_size, before)

    return router
