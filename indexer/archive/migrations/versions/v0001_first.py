"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables of the catalogue."""
    op.create_table(
        "archives",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_archives"),
        sa.UniqueConstraint("name", name="uq_archives_name"),
    )
    op.create_table(
        "homes",
        sa.Column("identity", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("identity", name="pk_homes"),
    )
    op.create_table(
        "generations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("archive_id", sa.Integer(), nullable=False),
        sa.Column("encoder", sa.String(), nullable=False),
        sa.Column("encoder_hash", sa.String(length=64), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("frame_dimension", sa.Integer(), nullable=False),
        sa.Column("ticks_per_frame", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["archive_id"], ["archives.id"], name="fk_generations_archive_id_archives", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_generations"),
        sa.UniqueConstraint("archive_id", "state", name="uq_generations_archive_id_state"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "operations",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("archive_id", sa.Integer(), nullable=False),
        sa.Column("encoder", sa.String(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("recordings_total", sa.Integer(), nullable=False),
        sa.Column("recordings_done", sa.Integer(), nullable=False),
        sa.Column("recordings_failed", sa.Integer(), nullable=False),
        sa.Column("audio_seconds_done", sa.Double(), nullable=False),
        sa.Column("spans_done", sa.BigInteger(), nullable=False),
        sa.Column("problem", sa.String(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["archive_id"], ["archives.id"], name="fk_operations_archive_id_archives", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_operations"),
        sa.UniqueConstraint("id", name="uq_operations_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_operations_archive_id", "operations", ["archive_id"], unique=False)
    op.create_table(
        "recordings",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("archive_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("sample_rate", sa.Integer(), nullable=False),
        sa.Column("channels", sa.Integer(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("problem", sa.String(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["archive_id"], ["archives.id"], name="fk_recordings_archive_id_archives", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_recordings"),
        sa.UniqueConstraint("id", name="uq_recordings_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_recordings_archive_id", "recordings", ["archive_id"], unique=False)
    op.create_index("ix_recordings_location", "recordings", ["location"], unique=False)
    op.create_index(
        "uq_recordings_live_content",
        "recordings",
        ["archive_id", "sha256"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "requests",
        sa.Column("archive_id", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("meaning", sa.String(), nullable=False),
        sa.Column("recording_number", sa.Integer(), nullable=True),
        sa.Column("operation_number", sa.Integer(), nullable=True),
        sa.Column("already_present", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["archive_id"], ["archives.id"], name="fk_requests_archive_id_archives", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["operation_number"],
            ["operations.number"],
            name="fk_requests_operation_number_operations",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["recording_number"],
            ["recordings.number"],
            name="fk_requests_recording_number_recordings",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("archive_id", "request_id", name="pk_requests"),
    )
    op.create_index("ix_requests_operation_number", "requests", ["operation_number"], unique=False)
    op.create_index("ix_requests_recording_number", "requests", ["recording_number"], unique=False)
    op.create_table(
        "segments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("generation_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("manifest_sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["generation_id"],
            ["generations.id"],
            name="fk_segments_generation_id_generations",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_segments"),
        sa.UniqueConstraint("name", name="uq_segments_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_segments_generation_id", "segments", ["generation_id"], unique=False)
    op.create_table(
        "segment_recordings",
        sa.Column("segment_id", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("generation_id", sa.Integer(), nullable=False),
        sa.Column("recording_number", sa.Integer(), nullable=False),
        sa.Column("spans", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["generation_id"],
            ["generations.id"],
            name="fk_segment_recordings_generation_id_generations",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["recording_number"],
            ["recordings.number"],
            name="fk_segment_recordings_recording_number_recordings",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["segment_id"],
            ["segments.id"],
            name="fk_segment_recordings_segment_id_segments",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("segment_id", "ordinal", name="pk_segment_recordings"),
        sa.UniqueConstraint(
            "generation_id", "recording_number", name="uq_segment_recordings_generation_id_recording_number"
        ),
    )
    op.create_index(
        "ix_segment_recordings_recording_number", "segment_recordings", ["recording_number"], unique=False
    )


def downgrade() -> None:
    """Drops the tables."""
    op.drop_table("segment_recordings")
    op.drop_table("segments")
    op.drop_table("requests")
    op.drop_table("recordings")
    op.drop_table("operations")
    op.drop_table("generations")
    op.drop_table("homes")
    op.drop_table("archives")
