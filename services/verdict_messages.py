"""Verdicts and their messages, as callers state them and the searcher reads them."""

from __future__ import annotations

from datetime import UTC

from google.protobuf.timestamp_pb2 import Timestamp

from wordspot.indexer.verdicts import Verdict as Verdict
from wordspot.services.answers import from_interval, to_interval
from wordspot.v1 import archive_pb2


def to_verdict_message(verdict: Verdict) -> archive_pb2.Verdict:
    """Returns the message of a verdict."""
    created = None
    if verdict.created is not None:
        created = Timestamp()
        created.FromDatetime(verdict.created)
    return archive_pb2.Verdict(
        id=verdict.id,
        recording=verdict.recording,
        interval=to_interval(verdict.start, verdict.end),
        query=verdict.query,
        correct=verdict.correct,
        author=verdict.author,
        create_time=created,
        score=verdict.score,
        p_correct=verdict.p_correct,
        channel=verdict.channel,
        path=verdict.path,
    )


def from_verdict_message(message: archive_pb2.Verdict) -> Verdict:
    """Returns the verdict that a message holds."""
    start, end = from_interval(message.interval)
    return Verdict(
        recording=message.recording,
        start=start,
        end=end,
        query=message.query,
        correct=message.correct,
        author=message.author,
        score=message.score,
        p_correct=message.p_correct,
        channel=message.channel,
        id=message.id,
        created=message.create_time.ToDatetime(UTC) if message.HasField("create_time") else None,
        path=message.path,
    )
