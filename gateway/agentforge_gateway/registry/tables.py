"""The registry's tables. Versions and the promotion log are only ever added to; a deletion is a tombstone."""

from __future__ import annotations

from sqlalchemy import JSON, Column, ForeignKey, ForeignKeyConstraint, Integer, String, Table, Text

from agentforge_gateway.tables import metadata

models = Table(
    "models",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("description", Text, nullable=False),
    Column("best", JSON),
    Column("create_time", String(32), nullable=False),
    Column("create_by", String(256), nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("name", String(64), ForeignKey("models.name"), primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False, index=True),
    Column("record", JSON, nullable=False),  # what was registered: never changed
    Column("tags", JSON, nullable=False),
    Column("tombstone", JSON),
)

model_promotions = Table(
    "model_promotions",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("alias", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1, without a gap: the log is a line
    Column("from_version", String(64)),
    Column("to_version", String(64)),
    Column("undoes", Integer),
    Column("who", String(256), nullable=False),
    Column("why", Text, nullable=False),
    Column("time", String(32), nullable=False),
    ForeignKeyConstraint(
        ["name", "to_version"],
        ["model_versions.name", "model_versions.version"],
        name="fk_model_promotions_name",
    ),
)
