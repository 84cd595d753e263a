"""The annotations of a tier as queries: each is a stretch of a recording that is searched for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote_to_bytes, urlsplit

import typer

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.paths import name_of_text
from wordspot.services.client.archives import Client
from wordspot.services.client.files import AUDIO_SUFFIXES
from wordspot.services.commands.search_queries import NamedQuery
from wordspot.services.examples import FileQuery, StoredQuery
from wordspot.services.interchange.formats import read_tiers
from wordspot.services.interchange.records import Annotation, MediaLink, Tier
from wordspot.services.limits import MAX_TIER_FILE_BYTES

MAX_NAMED_TIERS, MAX_NAMED_PATHS = 20, 5  # in a message


@dataclass(frozen=True)
class ChosenTier:
    """A tier of a file.

    file: the annotation file. tier: the one that is meant. media: recordings that the file names.
    """

    file: Path
    tier: Tier
    media: tuple[MediaLink, ...] = ()

    @property
    def origin(self) -> float:
        """The second of the recording at which the annotations' time begins."""
        return self.media[0].origin if self.media else 0.0


@dataclass(frozen=True)
class MediaOptions:
    """Of what the annotations are. recording: in the archive, by id. media: a file."""

    recording: str | None = None
    media: Path | None = None


def choose_tier(file: Path, name: str | None, encoding: str = "") -> ChosenTier:
    """Returns a tier of an annotation file. name: None for the only one. Raises InvalidInput."""
    try:
        size = file.stat().st_size
        if size > MAX_TIER_FILE_BYTES:
            raise InvalidInput(
                f"an annotation file must have at most {MAX_TIER_FILE_BYTES:,} bytes, got {file} of {size:,}"
            )
        data = file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror}") from error
    read = read_tiers(data, str(file), encoding=encoding)
    tiers = {tier.name: tier for tier in read.tiers}
    if name is None and len(tiers) == 1:
        name = next(iter(tiers))
    if name is None or name not in tiers:
        got = "got none" if name is None else f"got {name!r}"
        raise InvalidInput(f"--tier must name a tier of {file}: {_listed(read.tiers)}; {got}")
    if not tiers[name].annotations:
        raise InvalidInput(f"tier {name!r} of {file} holds no annotation")
    return ChosenTier(file, tiers[name], tuple(read.media))


def tier_queries(chosen: ChosenTier, options: MediaOptions, client: Client, archive: str) -> list[NamedQuery]:
    """Returns a query an annotation: a stretch of an indexed recording, or of a file where it is none.

    Raises:
        NotFound: there is no such archive.
        InvalidInput: the recording of the annotations cannot be told.
    """
    if options.recording is not None and options.media is not None:
        raise typer.BadParameter("--recording and --media exclude each other")
    source = options.recording or _source(chosen, options.media, client, archive)
    return [_query(chosen, annotation, source) for annotation in chosen.tier.annotations]


def _query(chosen: ChosenTier, annotation: Annotation, source: str | Path) -> NamedQuery:
    """source: the id of a recording, or a file."""
    start, end = chosen.origin + annotation.start, chosen.origin + annotation.end
    name = f"annotation {annotation.number} of {chosen.tier.name!r}, {start:.2f}-{end:.2f} s"
    label = annotation.text or f"{chosen.tier.name} {annotation.number}"
    query = (
        FileQuery(source, start, end)
        if isinstance(source, Path)
        else StoredQuery(source, start, end, label=name)
    )
    return NamedQuery(f"{name}: {annotation.text}" if annotation.text else name, label, query)


def _source(chosen: ChosenTier, media: Path | None, client: Client, archive: str) -> str | Path:
    """Returns the id of the indexed recording that is annotated, or its file.

    Raises NotFound, InvalidInput.
    """
    candidates = list(dict.fromkeys([media] if media is not None else _candidates(chosen)))
    recordings = {name_of_text(each.path): each.id for each in client.recordings(archive)}
    for path in candidates:
        for known in (str(path.absolute()), str(path.resolve())):
            if known in recordings:
                return recordings[known]
    for path in candidates:
        if path.is_file():
            return path
    if media is None:
        by_name = _by_name(chosen, recordings)
        if len(by_name) == 1:
            return by_name[0]
    else:
        raise InvalidInput(f"--media must be a file or a recording of archive {archive!r}, got {media}")
    tried = ", ".join(map(str, candidates[:MAX_NAMED_PATHS])) or "no link"
    raise InvalidInput(
        f"the recording that {chosen.file} annotates must be there or in archive {archive!r}, got {tried}; "
        "name it with --media PATH or --recording ID"
    )


def _candidates(chosen: ChosenTier) -> Iterator[Path]:
    """Yields where the recording may lie: as the file says, beside the file, and by the file's own name."""
    folder = chosen.file.parent
    for link in chosen.media:
        path = _path_of(link.url)
        if path is not None and path.is_absolute():
            yield path
        relative = _path_of(link.relative or link.url)
        if relative is not None and not relative.is_absolute():
            yield folder / relative
        if name := _name_of(link.url):
            yield folder / name
    if not chosen.media and folder.is_dir():
        for path in sorted(folder.glob(f"{_escaped_glob(chosen.file.stem)}.*")):
            if path.suffix.lower() in AUDIO_SUFFIXES:
                yield path


def _by_name(chosen: ChosenTier, recordings: dict[str, str]) -> list[str]:
    """Returns the recordings named like the one annotated, where the archive has but their names."""
    names = {name for link in chosen.media if (name := _name_of(link.url))}
    if names:
        return [key for path, key in recordings.items() if PurePosixPath(path).name in names]
    return [key for path, key in recordings.items() if PurePosixPath(path).stem == chosen.file.stem]


def _path_of(url: str) -> Path | None:
    """Returns the path of a file's URL; None for another address or a path of Windows."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        return None
    path = os.fsdecode(unquote_to_bytes(parts.path))
    return Path(path) if path and "\0" not in path and ":" not in path[:3] else None


def _name_of(url: str) -> str:
    """Returns the name of the file at the end of a URL or path, of Windows too."""
    name = os.fsdecode(unquote_to_bytes(url)).replace("\\", "/").rpartition("/")[2]
    return "" if "\0" in name or name in (".", "..") else name


def _escaped_glob(text: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)


def _listed(tiers: object) -> str:
    assert isinstance(tiers, list | tuple)
    named = [f"{tier.name!r} ({len(tier.annotations)})" for tier in tiers[:MAX_NAMED_TIERS]]
    if len(tiers) > MAX_NAMED_TIERS:
        named.append(f"and {len(tiers) - MAX_NAMED_TIERS} more")
    return ", ".join(named) or "it has none"
