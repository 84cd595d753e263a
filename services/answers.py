"""The answer to a query, as the searcher gives it and a client gets it, and its message."""

from __future__ import annotations

from dataclasses import dataclass

from wordspot.indexer.paths import name_of_text
from wordspot.indexer.records import Hit
from wordspot.v1 import audio_pb2, search_pb2

Interval = tuple[float, float]  # start and end in seconds


@dataclass(frozen=True)
class Synthesis:
    """Who spoke a typed query.

    synthesiser: its name and version.
    language: as the synthesiser names it.
    speakers: the voices by their names there.
    """

    synthesiser: str
    language: str
    speakers: tuple[str, ...]


@dataclass(frozen=True)
class SearchAnswer:
    """What was found for one query.

    hits: detected ones first, each kind best first.
    compared: the stretch of the first example's audio that was compared; the first is the first that is no
        stored one, if there is one.
    seconds: spent on the query.
    threshold: the score from which a hit counts as detected where p_threshold is None.
    problem: why the query could not be answered, empty otherwise.
    synthesis: who spoke a typed query; None for recorded ones.
    p_threshold: the probability from which a hit counts as detected; None where no calibration was fitted for
        the encoder, so that p_correct is a guess.
    label: of the first example.
    warnings: what was not searched because it is damaged.
    confirmed_examples: places with a verdict that have joined the examples.
    rejected_places: hits that were left out because of a verdict.
    """

    hits: tuple[Hit, ...] = ()
    compared: Interval = (0.0, 0.0)
    seconds: float = 0.0
    threshold: float = 0.0
    problem: str = ""
    synthesis: Synthesis | None = None
    p_threshold: float | None = None
    label: str = ""
    warnings: tuple[str, ...] = ()
    confirmed_examples: int = 0
    rejected_places: int = 0


def to_message(answer: SearchAnswer) -> search_pb2.SearchResult:
    """Returns the message of an answer without a problem; a problem is a status."""
    synthesis = answer.synthesis
    return search_pb2.SearchResult(
        label=answer.label,
        hits=[_hit_message(hit) for hit in answer.hits],
        compared=to_interval(*answer.compared),
        seconds=answer.seconds,
        threshold=answer.threshold,
        synthesis=None if synthesis is None else search_pb2.Synthesis(**vars(synthesis)),
        p_threshold=answer.p_threshold,
        warnings=answer.warnings,
        confirmed_examples=answer.confirmed_examples,
        rejected_places=answer.rejected_places,
    )


def from_message(result: search_pb2.SearchResult) -> SearchAnswer:
    """Returns the answer that a message holds."""
    return SearchAnswer(
        hits=tuple(map(_hit, result.hits)),
        compared=from_interval(result.compared),
        seconds=result.seconds,
        threshold=result.threshold,
        synthesis=_synthesis(result.synthesis) if result.HasField("synthesis") else None,
        p_threshold=result.p_threshold if result.HasField("p_threshold") else None,
        label=result.label,
        warnings=tuple(result.warnings),
        confirmed_examples=result.confirmed_examples,
        rejected_places=result.rejected_places,
    )


def to_interval(start: float, end: float) -> audio_pb2.Interval:
    """Returns the message of a stretch in seconds."""
    return audio_pb2.Interval(start_seconds=start, end_seconds=end)


def from_interval(interval: audio_pb2.Interval) -> Interval:
    """Returns start and end in seconds."""
    return interval.start_seconds, interval.end_seconds


def _hit_message(hit: Hit) -> search_pb2.Hit:
    return search_pb2.Hit(
        recording=hit.recording,
        path=hit.path,
        start_seconds=hit.start,
        end_seconds=hit.end,
        score=hit.score,
        detected=hit.detected,
        p_correct=hit.p_correct,
        missing=hit.missing,
        channel=hit.channel,
        track=hit.track,
    )


def _hit(message: search_pb2.Hit) -> Hit:
    return Hit(
        recording=message.recording,
        path=name_of_text(message.path),
        start=message.start_seconds,
        end=message.end_seconds,
        score=message.score,
        detected=message.detected,
        p_correct=message.p_correct,
        missing=message.missing,
        channel=message.channel,
        track=message.track,
    )


def _synthesis(message: search_pb2.Synthesis) -> Synthesis:
    return Synthesis(message.synthesiser, message.language, tuple(message.speakers))
