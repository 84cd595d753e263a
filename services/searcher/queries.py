"""The walk of a query: decode, trim to speech and embed each example, find the places like all of them.

A typed example is first spoken by a synthesiser; what its voices say are examples like any other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from wordspot.indexer.audio import Decoder
from wordspot.indexer.errors import ArchiveError, FailedPrecondition, InvalidInput, NotFound
from wordspot.indexer.library import LONGEST_CLIP_SECONDS, Library
from wordspot.indexer.records import Embedder, Hit, Samples, SearchOptions, Segmenter
from wordspot.indexer.view import ArchiveView
from wordspot.services.runtime import ensure_wanted
from wordspot.services.searcher.synthesis import Synthesis, Synthesiser

if TYPE_CHECKING:
    from wordspot.indexer.search import EmbeddedQuery, Finder

CONTEXT_SECONDS = 5.0  # heard on either side of a stretch, for normalisation

MAX_STORED_SECONDS = LONGEST_CLIP_SECONDS - 2 * CONTEXT_SECONDS

Interval = tuple[float, float]  # seconds


@dataclass(frozen=True)
class SpokenExample:
    """data: a file's bytes. interval: the stretch that is meant, None for all of it."""

    label: str
    data: bytes
    interval: Interval | None


@dataclass(frozen=True)
class StoredExample:
    """A stretch of a recording of the archive that is searched."""

    label: str
    recording: str
    interval: Interval


@dataclass(frozen=True)
class TypedExample:
    """Words for a synthesiser, as Synthesiser.speak takes them."""

    label: str
    text: str
    language: str
    speakers: int


_Audible = SpokenExample | StoredExample
Example = _Audible | TypedExample


@dataclass(frozen=True)
class Answer:
    """label: of the first example, as is compared, the stretch of its audio that was. seconds: spent.
    threshold: the score from which a hit counts as detected. synthesis: who said the typed example, if there
    was one."""

    label: str
    hits: tuple[Hit, ...]
    compared: Interval
    seconds: float
    threshold: float
    synthesis: Synthesis | None = None


@dataclass(frozen=True)
class Tools:
    """max_seconds: of a spoken query's audio."""

    library: Library
    decoder: Decoder
    segmenter: Segmenter
    embedder_for: Callable[[str], Embedder]
    max_seconds: float
    synthesiser: Synthesiser = field(default_factory=Synthesiser)

    @cached_property
    def finder(self) -> Finder:
        # Brings numba, which only searches need to wait for.
        from wordspot.indexer.search import Finder

        return Finder()


@dataclass(frozen=True)
class Search:
    """One archive, as it was when the call came, ready to be asked."""

    tools: Tools
    archive: str
    view: ArchiveView
    embedder: Embedder
    options: SearchOptions
    voices: int = 1

    @classmethod
    def begin(
        cls, tools: Tools, archive: str, encoder: str, options: SearchOptions, voices: int = 1
    ) -> Search:
        """encoder: what the caller expects, empty for any. voices: one of records.VOICES.

        Raises NotFound, FailedPrecondition, PeerUnavailable.
        """
        view = tools.library.view(archive)
        if encoder and encoder != view.encoder.name:
            raise FailedPrecondition(
                f"archive {archive!r} is indexed with encoder {view.encoder.name!r}, not {encoder!r}"
            )
        embedder = tools.embedder_for(view.encoder.name)
        if embedder.info.hash != view.encoder.hash:
            raise FailedPrecondition(
                f"archive {archive!r} was indexed with encoder {view.encoder.name!r} of hash "
                f"{view.encoder.hash[:12]}; the one at hand has {embedder.info.hash[:12]}: index it again"
            )
        return cls(tools, archive, view, embedder, options, voices)

    def answer(self, examples: Sequence[Example]) -> Answer:
        """Where one or more examples of the same words occur, of which at most one is typed.

        Raises InvalidInput, NotFound and what the peers raise, with the first example's label in the message,
        and before anything is searched the labels of all examples that cannot be used.
        """
        from wordspot.indexer import fusion

        began = time.perf_counter()
        label = examples[0].label
        with _labelled(label):
            heard, synthesis = self._spoken(examples)
            embedded, offset = self._embedded(heard)
            ensure_wanted()
            outcome = fusion.find_together(self.tools.finder, self.view, embedded, self.options)
        return Answer(
            label=label,
            hits=outcome.hits,
            compared=(offset + outcome.compared[0], offset + outcome.compared[1]),
            seconds=time.perf_counter() - began,
            threshold=outcome.threshold,
            synthesis=synthesis,
        )

    def _spoken(self, examples: Sequence[Example]) -> tuple[list[_Audible], Synthesis | None]:
        """The examples with what was typed as its voices say it, and who these are."""
        heard: list[_Audible] = []
        synthesis = None
        for example in examples:
            if isinstance(example, TypedExample):
                synthesis = self.tools.synthesiser.speak(example.text, example.language, example.speakers)
                heard += [SpokenExample(u.speaker, u.data, u.interval) for u in synthesis.utterances]
            else:
                heard.append(example)
        return heard, synthesis

    def _embedded(self, examples: Sequence[_Audible]) -> tuple[list[EmbeddedQuery], float]:
        """Every example in every voice, and where the samples of the first begin in its audio."""
        from wordspot.indexer import search, voices

        embedded: list[EmbeddedQuery] = []
        offsets: list[float] = []
        problems: list[tuple[str, InvalidInput | NotFound]] = []
        for number, example in enumerate(examples, 1):
            ensure_wanted()
            try:
                samples, interval, offset = self._heard(example)
                meant = search.trim(samples, self.tools.segmenter, interval)
                for spoken in voices.in_voices(meant, self.voices):
                    embedded.append(search.embed_query(spoken, self.embedder, self.options.mode))
                offsets.append(offset)
            except (InvalidInput, NotFound) as error:
                if len(examples) == 1:
                    raise
                problems.append((_name(example, number), error))
        if problems:
            # Names first: a long message loses its end on the wire.
            names = ", ".join(name for name, _ in problems)
            reasons = "; ".join(str(error) for _, error in problems)
            told = f"{len(problems)} of {len(examples)} examples cannot be used, {names}: {reasons}"
            raise type(problems[0][1])(told)
        return embedded, offsets[0]

    def _heard(self, example: _Audible) -> tuple[Samples, Interval | None, float]:
        """Samples with context, the meant stretch within them, where they begin in the example's audio."""
        if isinstance(example, SpokenExample):
            samples = self.tools.decoder.decode_bytes(example.data, max_seconds=self.tools.max_seconds)
            return samples, example.interval, 0.0
        start, end = example.interval
        if not 0 <= start < end <= start + MAX_STORED_SECONDS:
            raise InvalidInput(
                f"the stretch is {start:g} to {end:g} s; 0 <= start < end and at most "
                f"{MAX_STORED_SECONDS:g} s are allowed"
            )
        offset = max(start - CONTEXT_SECONDS, 0.0)
        samples = self.tools.library.clip(self.archive, example.recording, offset, end + CONTEXT_SECONDS)
        return samples, (start - offset, end - offset), offset


def _name(example: _Audible, number: int) -> str:
    if example.label:
        return repr(example.label)
    if isinstance(example, StoredExample):
        start, end = example.interval
        return f"{example.recording!r} {start:g}-{end:g}"
    return str(number)


@contextmanager
def _labelled(label: str) -> Iterator[None]:
    try:
        yield
    except ArchiveError as error:
        if not label:
            raise
        raise type(error)(f"query {label!r}: {error}") from error
