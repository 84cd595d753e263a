"""How many dimensions of a generation's vectors are semantic, as the manifests of its segments say."""

from __future__ import annotations

import json
from pathlib import Path

import sqlalchemy as sa
from alembic import context, op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_segments = sa.table("segments", sa.column("generation_id"), sa.column("name"))
_generations = sa.table("generations", sa.column("id"), sa.column("semantic_dimensions"))


def upgrade() -> None:
    """Adds how many dimensions of a generation's vectors represent meaning."""
    op.add_column(
        "generations", sa.Column("semantic_dimensions", sa.Integer(), nullable=False, server_default="0")
    )
    folder: Path | None = context.config.attributes["segments"]
    if folder is None:
        return
    connection = op.get_bind()
    rows = connection.execute(sa.select(_segments.c.generation_id, _segments.c.name)).all()
    for generation in {row.generation_id for row in rows}:
        names = [row.name for row in rows if row.generation_id == generation]
        connection.execute(
            sa.update(_generations)
            .where(_generations.c.id == generation)
            .values(semantic_dimensions=_semantic_dimensions(folder, names))
        )


def _semantic_dimensions(folder: Path, names: list[str]) -> int:
    """As the first manifest that can be read says; what is damaged is indexed again anyway."""
    for name in names:
        try:
            manifest = json.loads((folder / name / "manifest.json").read_bytes())
            return int(manifest["encoder"].get("meaning", 0))
        except (OSError, ValueError, KeyError):
            continue
    return 0


def downgrade() -> None:
    """Drops what `upgrade` adds."""
    op.drop_column("generations", "semantic_dimensions")
