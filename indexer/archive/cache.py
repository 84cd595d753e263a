"""The cached index of an archive: a file for each class of span lengths, and a card that lists them.

It can always be rebuilt from the segments, so it is read only if every checksum matches.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wordspot.indexer.archive import files, permissions
from wordspot.indexer.faults import reach
from wordspot.indexer.records import EncoderInfo
from wordspot.indexer.vectors.buckets import NOMINAL_TICKS, BucketedIndex
from wordspot.indexer.vectors.exact import ExactIndex
from wordspot.indexer.vectors.faiss_index import FaissIndex
from wordspot.indexer.vectors.policy import Index

_log = logging.getLogger(__name__)

_FORMAT = 3
_CARD = "index.json"
_NAMES = tuple(f"index-{ticks}" for ticks in NOMINAL_TICKS)


def save(index: BucketedIndex, directory: Path, segments: Sequence[str], encoder_hash: str) -> None:
    """Writes the index durably.

    Args:
        index: to write.
        directory: which must exist.
        segments: names of the segments whose spans are in it, in order.
        encoder_hash: of the encoder that embedded them.

    Raises:
        OSError: on a full disk.
    """
    entries = []
    for name, part in zip(_NAMES, index.indexes, strict=True):
        temporary = directory / f"tmp-{name}"
        permissions.create(temporary)
        part.save(temporary)
        with temporary.open("rb") as file:
            files.sync_file(file)
        entries.append({"name": name, "sha256": files.sha256_of(temporary), **_index_entry(part)})
    reach("cache-written")
    card = {
        "format": _FORMAT,
        "encoder_hash": encoder_hash,
        "segments": list(segments),
        "indexes": entries,
    }
    # After a crash in between, the card does not match the files, and the cache is not read.
    for name in _NAMES:
        files.replace_durably(directory / f"tmp-{name}", directory / name)
    reach("cache-renamed")
    files.write_durably(directory / _CARD, json.dumps(card, indent=1).encode())


def _index_entry(index: Index) -> dict[str, Any]:
    """Returns what `_load_index` needs besides the file."""
    if isinstance(index, ExactIndex):
        return {"kind": index.kind}
    return {
        "kind": index.kind,
        "probes": index.probes,
        "trained_for": index.trained_for,
        "last": index.last,
    }


def _load_index(path: Path, entry: dict[str, Any], dimension: int) -> Index:
    if entry["kind"] == ExactIndex.kind:
        return ExactIndex.load(path, dimension)
    return FaissIndex.load(
        path,
        entry["kind"],
        dimension=dimension,
        probes=entry["probes"],
        trained_for=entry["trained_for"],
        last=entry["last"],
    )


def _checked_index(directory: Path, entry: dict[str, Any], dimension: int) -> Index:
    """Returns an index from the very file whose checksum it compares: a writer may put another in its place.

    Raises ValueError if it is not that of the card.
    """
    with (directory / entry["name"]).open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != entry["sha256"]:
            raise ValueError(f"{entry['name']} is not that of the card")
        file.seek(0)
        return _load_index(Path(f"/dev/fd/{file.fileno()}"), entry, dimension)


def load(directory: Path, encoder: EncoderInfo) -> tuple[BucketedIndex | None, list[str]]:
    """Returns the cached index and the names of its segments; None if it is missing, damaged or stale."""
    try:
        card: dict[str, Any] = json.loads((directory / _CARD).read_bytes())
        if (
            card["format"] == _FORMAT
            and card["encoder_hash"] == encoder.hash
            and [entry["name"] for entry in card["indexes"]] == list(_NAMES)
        ):
            indexes = [_checked_index(directory, entry, encoder.dimension) for entry in card["indexes"]]
            return BucketedIndex(indexes), list(card["segments"])
        _log.warning("cached index %s does not match its card and is rebuilt", directory)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, MemoryError) as error:
        _log.warning("cached index %s cannot be used and is rebuilt: %r", directory, error)
    return None, []
