"""Which channels and tracks of its recordings an archive has, and which a recording has."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the selection of generations and operations, and the layout of indexed recordings."""
    for table in ("generations", "operations"):
        op.add_column(table, sa.Column("channels", sa.String(16), nullable=False, server_default="mix"))
        op.add_column(table, sa.Column("tracks", sa.String(16), nullable=False, server_default="default"))
    op.add_column("segment_recordings", sa.Column("layout", sa.String(), nullable=True))


def downgrade() -> None:
    """Drops what `upgrade` adds."""
    for table in ("generations", "operations"):
        op.drop_column(table, "channels")
        op.drop_column(table, "tracks")
    op.drop_column("segment_recordings", "layout")
