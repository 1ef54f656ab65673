"""Models, their versions and the promotion log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "models",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("best", sa.JSON),
        sa.Column("create_time", sa.String(32), nullable=False),
        sa.Column("create_by", sa.String(256), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_models"),
    )
    op.create_table(
        "model_versions",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("tombstone", sa.JSON),
        sa.PrimaryKeyConstraint("name", "version", name="pk_model_versions"),
        sa.ForeignKeyConstraint(["name"], ["models.name"], name="fk_model_versions_name"),
    )
    op.create_index("ix_model_versions_sha256", "model_versions", ["sha256"])
    op.create_table(
        "model_promotions",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("alias", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("from_version", sa.String(64)),
        sa.Column("to_version", sa.String(64)),
        sa.Column("undoes", sa.Integer),
        sa.Column("who", sa.String(256), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("time", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("name", "alias", "number", name="pk_model_promotions"),
        sa.ForeignKeyConstraint(
            ["name", "to_version"],
            ["model_versions.name", "model_versions.version"],
            name="fk_model_promotions_name",
        ),
    )


def downgrade() -> None:
    op.drop_table("model_promotions")
    op.drop_table("model_versions")
    op.drop_table("models")
