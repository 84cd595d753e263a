"""Filters of recordings and their messages, as callers state them and the searcher reads them."""

from __future__ import annotations

from wordspot.indexer.filters import RecordingFilter as RecordingFilter
from wordspot.indexer.paths import path_text
from wordspot.v1 import archive_pb2


def filter_message(recording_filter: RecordingFilter | None) -> archive_pb2.RecordingFilter | None:
    """Returns the message of a filter that a caller may leave out. Raises InvalidInput."""
    return to_filter_message(recording_filter.checked()) if recording_filter else None


def to_filter_message(recording_filter: RecordingFilter) -> archive_pb2.RecordingFilter:
    """Returns the message of a filter. Raises InvalidInput for a path that no file could have."""
    single = {key: values[0] for key, values in recording_filter.tags.items() if len(values) == 1}
    several = [
        archive_pb2.Tag(key=key, value=value)
        for key, values in recording_filter.tags.items()
        if key not in single
        for value in values
    ]
    return archive_pb2.RecordingFilter(
        paths=map(path_text, recording_filter.paths),
        folders=map(path_text, recording_filter.folders),
        tags=single,
        date_from=recording_filter.date_from,
        date_to=recording_filter.date_to,
        any_tags=several,
    )


def from_filter_message(message: archive_pb2.RecordingFilter) -> RecordingFilter:
    """Returns the filter that a message holds. A key with a value in both of its fields has to have both."""
    values: dict[str, tuple[str, ...]] = {}
    for tag in message.any_tags:
        values[tag.key] = (*values.get(tag.key, ()), tag.value)
    for key, value in message.tags.items():
        values[key] = (value,) if value in values.get(key, (value,)) else ()
    return RecordingFilter(
        tuple(message.paths), tuple(message.folders), values, message.date_from, message.date_to
    )
