"""Origins: what a segment stores of its recordings besides their ids, to rebuild a lost catalogue from.

Searches do not read them; the catalogue is the truth while it is there.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from wordspot.indexer.archive.tables import Archive, Recording
from wordspot.indexer.errors import DataLoss

FILE = "recordings.json"


@dataclass(frozen=True)
class Origin:
    """A recording as the catalogue has it.

    Attributes:
        archive: name of its archive.
        id: of the recording.
        path: for people.
        location: of the file, absolute or below the home.
        sha256: of the file, hexadecimal.
        size: of the file in bytes.
        seconds: duration, None until known.
        sample_rate: of the file, in Hz.
        channels: of the file.
        format: of the file.
        warnings: of its indexing, one a line.
        created: when it was added, ISO 8601.
        layout: a Layout as text, None in a segment of an older version.
    """

    archive: str
    id: str
    path: str
    location: str
    sha256: str
    size: int
    seconds: float | None
    sample_rate: int
    channels: int
    format: str
    warnings: str | None
    created: str
    layout: str | None = None

    @classmethod
    def of(cls, archive: str, row: Recording) -> Origin:
        """Returns the origin of a row of the catalogue."""
        own = {name: getattr(row, name) for name in _COPIED}
        return cls(archive=archive, created=row.created.isoformat(), **own)

    def row(self, archive_id: int) -> Recording:
        """Returns a row of a new catalogue."""
        own = {name: getattr(self, name) for name in _COPIED}
        return Recording(archive_id=archive_id, created=datetime.fromisoformat(self.created), **own)


_COPIED = [
    field.name for field in dataclasses.fields(Origin) if field.name not in ("archive", "created", "layout")
]


def stored_origins(session: Session, ids: Sequence[str]) -> dict[str, Origin]:
    """Returns the origins of recordings that the catalogue has, by id."""
    rows = session.execute(
        select(Archive.name, Recording)
        .join(Archive, Archive.id == Recording.archive_id)
        .where(Recording.id.in_(ids))
    )
    return {row.id: Origin.of(archive, row) for archive, row in rows}


def encoded(origins: Iterable[Origin | None]) -> bytes:
    """Returns origins by ordinal as a segment stores them; None where there is none."""
    return json.dumps([origin and vars(origin) for origin in origins]).encode()


def read(segment: Path) -> list[Origin | None]:
    """Returns the origins in a segment's directory, by ordinal; none in one of an older version.

    Raises:
        DataLoss: if they cannot be read.
    """
    try:
        entries = json.loads((segment / FILE).read_bytes())
        return [entry and Origin(**entry) for entry in entries]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise DataLoss(f"segment {segment.name}: {FILE} cannot be read: {error}") from error
