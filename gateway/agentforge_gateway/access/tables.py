"""Tokens, and what was done with them."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, String, Table

from agentforge_gateway.tables import metadata

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", String(32), primary_key=True),
    Column("hash", String(64), nullable=False),  # SHA-256 of the secret, which is kept nowhere
    Column("name", String(100), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("create_time", String(32), nullable=False),  # RFC 3339, UTC, microseconds: sorts as text
    Column("expire_time", String(32)),
    Column("last_used_time", String(32)),
    Column("revoke_time", String(32)),
    Index("ix_tokens_hash", "hash", unique=True),
)

audit = Table(
    "audit",
    metadata,
    # SQLite counts only an INTEGER key up by itself.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("time", String(32), nullable=False),
    Column("token_id", String(32), nullable=False),
    Column("token_name", String(100), nullable=False),
    Column("action", String(200), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("address", String(100), nullable=False),
)
