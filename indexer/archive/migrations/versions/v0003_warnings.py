"""What was noticed of a recording's sound while it was indexed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the warnings of recordings."""
    op.add_column("recordings", sa.Column("warnings", sa.String(), nullable=True))


def downgrade() -> None:
    """Drops what `upgrade` adds."""
    op.drop_column("recordings", "warnings")
