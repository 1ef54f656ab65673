"""Pipelines and their phase runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "pipelines",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("error", sa.JSON),
        sa.Column("create_time", sa.String(32), nullable=False),
        sa.Column("update_time", sa.String(32), nullable=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_pipelines"),
    )
    op.create_index("ix_pipelines_state", "pipelines", ["state"])
    op.create_index("ix_pipelines_create_time", "pipelines", ["create_time", "run_id"])
    op.create_table(
        "phase_runs",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("phase", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("state", sa.String(32)),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("outputs", sa.JSON, nullable=False),
        sa.Column("measurements", sa.JSON, nullable=False),
        sa.Column("error", sa.JSON),
        sa.Column("progress", sa.JSON),
        sa.Column("reused_from", sa.String(64), nullable=False),
        sa.Column("reuse_key", sa.String(64), nullable=False),
        sa.Column("start_time", sa.String(32)),
        sa.Column("end_time", sa.String(32)),
        sa.PrimaryKeyConstraint("run_id", "phase", name="pk_phase_runs"),
        sa.ForeignKeyConstraint(["run_id"], ["pipelines.run_id"], name="fk_phase_runs_run_id"),
    )
    op.create_index("ix_phase_runs_reuse_key", "phase_runs", ["reuse_key"])


def downgrade() -> None:
    op.drop_table("phase_runs")
    op.drop_table("pipelines")
