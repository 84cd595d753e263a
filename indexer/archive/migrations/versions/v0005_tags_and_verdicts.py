"""What people know of recordings, and what they say of hits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables of tags and verdicts."""
    op.create_table(
        "recording_tags",
        sa.Column("recording_number", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.ForeignKeyConstraint(
            ["recording_number"],
            ["recordings.number"],
            name="fk_recording_tags_recording_number_recordings",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("recording_number", "key", name="pk_recording_tags"),
    )
    op.create_index("ix_recording_tags_key_value", "recording_tags", ["key", "value"], unique=False)
    op.create_table(
        "verdicts",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("recording_number", sa.Integer(), nullable=False),
        sa.Column("query", sa.String(), nullable=False),
        sa.Column("start", sa.Double(), nullable=False),
        sa.Column("end", sa.Double(), nullable=False),
        sa.Column("channel", sa.Integer(), nullable=False),
        sa.Column("correct", sa.Boolean(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("p_correct", sa.Double(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["recording_number"],
            ["recordings.number"],
            name="fk_verdicts_recording_number_recordings",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name="pk_verdicts"),
        sa.UniqueConstraint("id", name="uq_verdicts_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_verdicts_recording_number", "verdicts", ["recording_number"], unique=False)


def downgrade() -> None:
    """Drops what `upgrade` creates."""
    op.drop_table("verdicts")
    op.drop_table("recording_tags")
