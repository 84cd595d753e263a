"""What is known of the files of recordings: whether they are there, and what took their place."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds what is known of files, and a count of changes to each archive's recordings."""
    op.add_column("archives", sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("recordings", sa.Column("stamp", sa.String(100), nullable=True))
    op.add_column("recordings", sa.Column("missing_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("recordings", sa.Column("superseded_by", sa.Integer(), nullable=True))
    op.create_index("ix_recordings_superseded_by", "recordings", ["superseded_by"])


def downgrade() -> None:
    """Drops what `upgrade` adds."""
    op.drop_index("ix_recordings_superseded_by", "recordings")
    for column in ("superseded_by", "missing_since", "stamp"):
        op.drop_column("recordings", column)
    op.drop_column("archives", "revision")
