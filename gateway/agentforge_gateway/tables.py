"""The two tables. The run directories on the volume are the truth; these rows make them quick to find and list."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, MetaData, String, Table

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_name)s", "pk": "pk_%(table_name)s",
                       "fk": "fk_%(table_name)s_%(column_0_name)s"}
)  # fmt: skip

pipelines = Table(
    "pipelines",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("state", String(32), nullable=False, index=True),
    Column("spec", JSON, nullable=False),
    Column("plan", JSON, nullable=False),
    Column("error", JSON),
    Column("create_time", String(32), nullable=False),  # RFC 3339, UTC, microseconds: sorts as text
    Column("update_time", String(32), nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Index("ix_pipelines_create_time", "create_time", "run_id"),
)

phase_runs = Table(
    "phase_runs",
    metadata,
    Column("run_id", String(64), ForeignKey("pipelines.run_id"), primary_key=True),
    Column("phase", String(64), primary_key=True),
    Column("position", Integer, nullable=False),  # in the plan, from 0
    Column("state", String(32)),
    Column("attempt", Integer, nullable=False),
    Column("outputs", JSON, nullable=False),
    Column("measurements", JSON, nullable=False),
    Column("error", JSON),
    Column("progress", JSON),
    Column("reused_from", String(64), nullable=False),
    Column("reuse_key", String(64), nullable=False, index=True),  # empty until the inputs are known
    Column("start_time", String(32)),
    Column("end_time", String(32)),
)
