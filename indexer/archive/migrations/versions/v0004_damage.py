"""What is wrong with a segment that is in quarantine."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds what is wrong with segments in quarantine."""
    op.add_column("segments", sa.Column("damage", sa.String(), nullable=True))


def downgrade() -> None:
    """Drops what `upgrade` adds."""
    op.drop_column("segments", "damage")
