"""Answers queries: decodes, trims to speech and embeds each example, and finds places like all of them.

A typed example is first spoken by a synthesiser; its utterances are examples like any other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.quarantine import advising_repair
from wordspot.indexer.archive.summaries import QuarantinedSegment
from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.errors import (
    ArchiveError,
    DataLoss,
    FailedPrecondition,
    InvalidInput,
    NotFound,
    Overloaded,
)
from wordspot.indexer.filters import RecordingFilter
from wordspot.indexer.records import SAMPLE_RATE, Embedder, Samples, SearchOptions, Segmenter
from wordspot.indexer.sound.audio import Decoder, NoAudio
from wordspot.services.admission import WorkSlots
from wordspot.services.answers import Interval, SearchAnswer, Synthesis
from wordspot.services.examples import (
    AudioQuery,
    Example,
    RecordedQuery,
    StoredQuery,
    TypedQuery,
    check_stretch_inside,
)
from wordspot.services.limits import MAX_CLIP_SECONDS, MAX_CONTEXT_SECONDS, MAX_EXAMPLES, MAX_STREAMS
from wordspot.services.pricing import ByteBudget
from wordspot.services.runtime import ensure_wanted
from wordspot.services.searcher.judged import JudgedPlaces
from wordspot.services.searcher.synthesis import Synthesiser

if TYPE_CHECKING:
    from wordspot.indexer.search.finder import Finder
    from wordspot.indexer.search.query import EmbeddedQuery

MAX_STORED_SECONDS = MAX_CLIP_SECONDS - 2 * MAX_CONTEXT_SECONDS


@dataclass(frozen=True)
class SearchResources:
    """What answering a query needs.

    library: the open home.
    decoder: of what callers send.
    segmenter: finds the speech in an example.
    embedder_for: the embedder of an encoder's name; raises NotFound, PeerUnavailable.
    max_seconds: of a recorded example's audio.
    synthesiser: of typed examples.
    slots: of queries that are answered at once.
    query_bytes: what all callers' queries together may hold.
    """

    library: Library
    decoder: Decoder
    segmenter: Segmenter
    embedder_for: Callable[[str], Embedder]
    max_seconds: float
    synthesiser: Synthesiser
    slots: WorkSlots
    query_bytes: ByteBudget

    @cached_property
    def finder(self) -> Finder:
        """The finder, imported at its first use."""
        from wordspot.indexer.search.finder import Finder

        return Finder()


@dataclass(frozen=True)
class ArchiveSearch:
    """One archive, as it was when the call came, ready for queries.

    resources: what answering needs.
    archive: its name.
    view: its state.
    embedder: of the encoder that it is indexed with.
    options: for every query.
    speed_variants: in which each example is searched for, one of records.SPEED_VARIANTS.
    with_verdicts: whether confirmed places of a query's label join its examples, and rejected ones are left
        out of its hits.
    """

    resources: SearchResources
    archive: str
    view: ArchiveView
    embedder: Embedder
    options: SearchOptions
    speed_variants: int = 1
    with_verdicts: bool = False

    @classmethod
    def open(
        cls,
        resources: SearchResources,
        archive: str,
        encoder: str,
        options: SearchOptions,
        speed_variants: int = 1,
        *,
        recording_filter: RecordingFilter | None = None,
        with_verdicts: bool = False,
    ) -> ArchiveSearch:
        """Returns a search of the archive as it is now.

        Args:
            resources: what answering needs.
            archive: its name.
            encoder: what the caller expects, empty for any.
            options: for every query.
            speed_variants: one of records.SPEED_VARIANTS.
            recording_filter: which recordings are searched, of those that the options allow; None for all.
            with_verdicts: see above.

        Raises:
            InvalidInput: the filter is not valid.
            NotFound: there is no such archive or encoder, or no recording that matches the filter.
            FailedPrecondition: the archive is not indexed, or with another encoder, or none of the recordings
                that match.
            DataLoss: all that it held is damaged, or more of it than was known.
            PeerUnavailable: the model host cannot be reached.
        """
        view = resources.library.view(archive)
        if view.quarantined and not view.recordings:
            raise DataLoss(
                f"nothing of archive {archive!r} can be searched: {_damage(view.quarantined)}. "
                f"`wordspot archive repair --archive {archive}` indexes again what can be saved"
            )
        if encoder and encoder != view.encoder.name:
            raise FailedPrecondition(
                f"archive {archive!r} is indexed with encoder {view.encoder.name!r}, not {encoder!r}"
            )
        embedder = resources.embedder_for(view.encoder.name)
        if embedder.info.hash != view.encoder.hash:
            raise FailedPrecondition(
                f"archive {archive!r} was indexed with encoder {view.encoder.name!r} of hash "
                f"{view.encoder.hash[:12]}; the one at hand has {embedder.info.hash[:12]}: index it again"
            )
        if recording_filter:
            matching = _matching(resources.library, archive, view, options, recording_filter)
            options = replace(options, recordings=matching)
        return cls(resources, archive, view, embedder, options, speed_variants, with_verdicts)

    def answer(self, examples: Sequence[Example]) -> SearchAnswer:
        """Returns where one or more examples of the same words occur, of which at most one is typed.

        Raises:
            InvalidInput, NotFound: an example cannot be used; the message holds the first example's label,
                and before anything is searched the labels of all examples that cannot be used.
            ArchiveError: what the peers raise, with the label.
        """
        from wordspot.indexer.search import fusion

        start = time.perf_counter()
        label = examples[0].label
        judged = JudgedPlaces()
        if self.with_verdicts:
            judged = JudgedPlaces.of(self.resources.library, self.archive, label)
        with advising_repair(self.archive), _labelled(label):
            audio_examples, synthesis = self._synthesise(examples)
            queries, offset = self._embed(audio_examples)
            confirmed = self._embed_confirmed(judged.examples(examples), MAX_EXAMPLES - len(audio_examples))
            ensure_wanted()
            outcome = fusion.find_by_examples(
                self.resources.finder,
                self.view,
                queries + [query for variants in confirmed for query in variants],
                judged.widened(self.options),
            )
        hits = judged.kept(outcome.hits)
        return SearchAnswer(
            label=label,
            hits=hits[: self.options.top],
            compared=(offset + outcome.compared[0], offset + outcome.compared[1]),
            seconds=time.perf_counter() - start,
            threshold=outcome.threshold,
            synthesis=synthesis,
            p_threshold=outcome.p_threshold,
            warnings=tuple(map(_warning, self.view.quarantined)),
            confirmed_examples=len(confirmed),
            rejected_places=len(outcome.hits) - len(hits),
        )

    def _synthesise(self, examples: Sequence[Example]) -> tuple[list[AudioQuery], Synthesis | None]:
        """Returns the examples with utterances in place of what was typed, and who spoke these."""
        audio_examples: list[AudioQuery] = []
        synthesis = None
        for example in examples:
            if isinstance(example, TypedQuery):
                speech = self.resources.synthesiser.speak(example.text, example.language, example.speakers)
                synthesis = speech.synthesis
                audio_examples += speech.utterances
            else:
                audio_examples.append(example)
        return audio_examples, synthesis

    def _embed(self, examples: Sequence[AudioQuery]) -> tuple[list[EmbeddedQuery], float]:
        """Returns every example in every speed variant, and the second of the first example's audio at which
        its samples begin."""
        queries: list[EmbeddedQuery] = []
        offsets: list[float] = []
        problems: list[tuple[str, InvalidInput | NotFound]] = []
        for number, example in enumerate(examples, 1):
            ensure_wanted()
            try:
                variants, offset = self._variants(example)
                queries += variants
                offsets.append(offset)
            except (InvalidInput, NotFound) as error:
                if len(examples) == 1:
                    raise
                problems.append((_name(example, number), error))
        if problems:
            # Names first: a long message loses its end on the wire.
            names = ", ".join(name for name, _ in problems)
            reasons = "; ".join(str(error) for _, error in problems)
            message = f"{len(problems)} of {len(examples)} examples cannot be used, {names}: {reasons}"
            raise type(problems[0][1])(message)
        return queries, offsets[0]

    def _embed_confirmed(self, examples: Iterable[StoredQuery], limit: int) -> list[list[EmbeddedQuery]]:
        """Returns the speed variants of confirmed places, of which some may not be readable any more."""
        embedded: list[list[EmbeddedQuery]] = []
        for example in examples:
            if len(embedded) >= limit:
                break
            ensure_wanted()
            with suppress(InvalidInput, NotFound, FailedPrecondition):
                embedded.append(self._variants(example)[0])
        return embedded

    def _variants(self, example: AudioQuery) -> tuple[list[EmbeddedQuery], float]:
        """Returns an example in every speed variant, and the second of its audio at which its samples
        begin."""
        from wordspot.indexer.search.perturbation import speed_variants
        from wordspot.indexer.search.query import embed_query, trim

        samples, interval, offset = self._samples(example)
        audio = trim(samples, self.resources.segmenter, interval)
        variants = speed_variants(audio, self.speed_variants)
        return [embed_query(variant, self.embedder, self.options.mode) for variant in variants], offset

    def _samples(self, example: AudioQuery) -> tuple[Samples, Interval | None, float]:
        """Returns samples with context, the stretch of them that is meant, and the second of the example's
        audio at which they begin."""
        if isinstance(example, RecordedQuery):
            return self._recorded_samples(example)
        start, end = example.start, example.end
        if not 0 <= start < end <= start + MAX_STORED_SECONDS:
            raise InvalidInput(
                f"the stretch must satisfy 0 <= start < end and be at most {MAX_STORED_SECONDS:g} s long, "
                f"got {start:g} to {end:g} s"
            )
        offset = max(start - MAX_CONTEXT_SECONDS, 0.0)
        samples = self.resources.library.clip(
            self.archive,
            example.recording,
            offset,
            end + MAX_CONTEXT_SECONDS,
            track=checked_channel(example.track, "track"),
            channel=checked_channel(example.channel),
        )
        check_stretch_inside((start, end), offset + len(samples) / SAMPLE_RATE, "the recording")
        return samples, (start - offset, end - offset), offset

    def _recorded_samples(self, example: RecordedQuery) -> tuple[Samples, Interval | None, float]:
        """As _samples. Of a stretch within longer audio, no more is decoded than its context."""
        channel = checked_channel(example.channel)
        start, end = example.interval or (0.0, 0.0)
        cuts = 0 <= start < end < math.inf  # others are refused by the length of the audio
        offset = max(start - MAX_CONTEXT_SECONDS, 0.0) if cuts else 0.0
        try:
            samples = self.resources.decoder.decode_bytes(
                example.data,
                max_seconds=self.resources.max_seconds,
                start=offset,
                stop=end + MAX_CONTEXT_SECONDS if cuts else None,
                channel=channel,
            )
        except NoAudio as error:
            if not offset:
                raise
            raise InvalidInput(f"the audio ends before {start:g} s, where the query is to begin") from error
        if not cuts:
            return samples, example.interval, 0.0
        if offset:
            check_stretch_inside((start, end), offset + len(samples) / SAMPLE_RATE, "the audio")
        return samples, (start - offset, end - offset), offset


def checked_channel(number: int, name: str = "channel") -> int:
    """Returns the number of a channel or track, 0 for none in particular. Raises InvalidInput."""
    if not 0 <= number <= MAX_STREAMS:
        raise InvalidInput(f"{name} must be between 0 and {MAX_STREAMS}, got {number}")
    return number


def _damage(quarantined: Sequence[QuarantinedSegment]) -> str:
    """Returns the first problem, and how many there are besides."""
    more = len(quarantined) - 1
    return quarantined[0].problem + (f", and {more} more segments are damaged" if more else "")


def _matching(
    library: Library,
    archive: str,
    view: ArchiveView,
    options: SearchOptions,
    recording_filter: RecordingFilter,
) -> frozenset[str]:
    """Returns the searchable recordings that match. Raises InvalidInput, NotFound, FailedPrecondition."""
    matching = library.matching_recordings(archive, recording_filter)
    if options.recordings is not None and not (matching := matching & options.recordings):
        raise NotFound(f"none of the recordings to search in matches the filter ({recording_filter})")
    searchable = matching & {entry.id for entry in view.recordings if entry.alive}
    if not searchable:
        raise FailedPrecondition(
            f"none of the {len(matching)} recordings of archive {archive!r} that match the filter "
            f"({recording_filter}) is indexed"
        )
    return searchable


def _warning(segment: QuarantinedSegment) -> str:
    count = "1 recording is" if segment.recordings == 1 else f"{segment.recordings} recordings are"
    return f"{count} not searched: {segment.problem}"


def _name(example: AudioQuery, number: int) -> str:
    if example.label:
        return repr(example.label)
    if isinstance(example, StoredQuery):
        return f"{example.recording!r} {example.start:g}-{example.end:g}"
    return str(number)


@contextmanager
def _labelled(label: str) -> Iterator[None]:
    try:
        yield
    except Overloaded:  # which says nothing of this query
        raise
    except ArchiveError as error:
        if not label:
            raise
        raise type(error)(f"query {label!r}: {error}") from error
