"""The wiring of the searcher."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING

from wordspot.indexer.records import Embedder, Segmenter
from wordspot.indexer.search.dtw import load_compiled
from wordspot.services.access.tenancy import confined
from wordspot.services.admission import WorkSlots
from wordspot.services.limits import MAX_HELD_QUERY_BYTES
from wordspot.services.pricing import ByteBudget, priced
from wordspot.services.readiness import check_home, check_peer
from wordspot.services.runtime import Service, create_server, open_channel, serve
from wordspot.services.settings import SearcherSettings, ServerSettings
from wordspot.services.telemetry.exposition import served
from wordspot.v1 import archive_pb2, archive_pb2_grpc, search_pb2_grpc

if TYPE_CHECKING:
    from wordspot.indexer.sound.audio import Decoder
    from wordspot.services.searcher.figures import SearcherFigures
    from wordspot.services.searcher.queries import SearchResources

SEGMENTER_NAME = "wordspot.v1.SegmentationService"
ENCODERS_NAME = "wordspot.v1.EmbeddingService"
NAMES = ("wordspot.v1.ArchiveService", "wordspot.v1.SearchService")


@dataclass(frozen=True)
class _Peers:
    """What finds speech and what embeds it.

    Attributes:
        segmenter: of this process, or a service.
        embedder_for: by the name of an encoder, likewise.
        checks: of the services, each of which raises if one is not ready.
    """

    segmenter: Segmenter
    embedder_for: Callable[[str], Embedder]
    checks: tuple[Callable[[], None], ...]


class Searcher:
    """An open home with both services on it."""

    def __init__(
        self,
        options: SearcherSettings,
        segmenter: Segmenter | None = None,
        embedder_for: Callable[[str], Embedder] | None = None,
    ) -> None:
        """segmenter, embedder_for: those of this process; None for the services that the settings name."""
        from wordspot.indexer.archive.batches import BatchLimits
        from wordspot.indexer.archive.library import Library
        from wordspot.indexer.vectors.policy import IndexPolicy
        from wordspot.services.searcher.queries import SearchResources
        from wordspot.services.searcher.resumption import resuming
        from wordspot.services.searcher.scrubbing import RECORD, scrubbing
        from wordspot.services.searcher.synthesis import Synthesiser

        with ExitStack() as closing:
            peers = _open_peers(options, segmenter, embedder_for, closing)
            decoder, indexing_decoder = _open_decoders(options, closing)
            library = Library(
                options.home,
                database_url=options.database_url,
                decoder=decoder,
                indexing_decoder=indexing_decoder,
                segmenter=peers.segmenter,
                embedder_for=peers.embedder_for,
                default_encoder=options.default_encoder,
                roots=options.roots,
                index=IndexPolicy(options.index_kind),
                max_recording_seconds=options.max_recording_seconds,
                workers=options.workers,
                limits=BatchLimits(seconds=options.commit_seconds),
                wait_seconds=options.wait_seconds,
                read_only=options.read_only,
            )
            closing.callback(library.close)
            self.library = library
            synthesiser = closing.enter_context(Synthesiser())
            self.query_bytes = ByteBudget(MAX_HELD_QUERY_BYTES)
            resources = SearchResources(
                library,
                decoder,
                peers.segmenter,
                peers.embedder_for,
                options.max_query_seconds,
                synthesiser,
                WorkSlots(_processors(), options.queue_seconds),
                self.query_bytes,
            )
            self._slots = resources.slots
            self.services = _services(options, resources, peers.checks)
            if options.resume and not options.read_only:
                closing.enter_context(resuming(library))
            if options.scrub_hours and not options.read_only:
                closing.enter_context(scrubbing(library, options.home / RECORD, 3600 * options.scrub_hours))
            self._closing = closing.pop_all()

    def figures(self) -> SearcherFigures:
        """Returns what Prometheus is told of archives and queries."""
        from wordspot.services.searcher.figures import SearcherFigures

        return SearcherFigures(self.library, self._slots, self.query_bytes)

    def close(self) -> None:
        """Interrupts indexing; what is committed stays, the rest can be resumed."""
        self._closing.close()


def _open_peers(
    options: SearcherSettings,
    segmenter: Segmenter | None,
    embedder_for: Callable[[str], Embedder] | None,
    closing: ExitStack,
) -> _Peers:
    """Returns what is given, and in place of None what the services in the settings offer, their channels
    closed by `closing`."""
    from wordspot.services.searcher.peers import RemoteEncoders, RemoteSegmenter

    checks: list[Callable[[], None]] = []
    if segmenter is None:
        channel = open_channel(options.segmenter, options.credentials)
        closing.callback(channel.close)
        segmenter = RemoteSegmenter(channel, options.segmenter)
        checks.append(partial(check_peer, channel, options.segmenter, SEGMENTER_NAME))
    if embedder_for is None:
        channel = open_channel(options.modelhost, options.credentials)
        closing.callback(channel.close)
        embedder_for = RemoteEncoders(channel, options.modelhost).get
        checks.append(partial(check_peer, channel, options.modelhost, ENCODERS_NAME))
    return _Peers(segmenter, embedder_for, tuple(checks))


def _open_decoders(options: SearcherSettings, closing: ExitStack) -> tuple[Decoder, Decoder]:
    """Returns the decoder of what clients send, and that of indexing."""
    from wordspot.indexer.sound.audio import DirectDecoder
    from wordspot.indexer.sound.decoder import IsolatedDecoder

    if not options.isolate:
        decoder = DirectDecoder()
        return decoder, decoder
    return (
        closing.enter_context(
            IsolatedDecoder(max(_processors(), 2), ready=2, patience_s=options.queue_seconds)
        ),
        closing.enter_context(IsolatedDecoder(options.workers)),
    )


def _services(
    options: SearcherSettings, resources: SearchResources, peer_checks: Sequence[Callable[[], None]]
) -> tuple[Service, ...]:
    """Returns both services with their checks of readiness."""
    from wordspot.services.searcher.servicer import ArchiveServicer, SearchServicer

    def check_database() -> None:
        resources.library.list_archives(after="~")  # behind all names: no archive is summarised

    def check_archives() -> None:
        if not options.read_only:
            check_home(options.home)
        check_database()

    def check_searches() -> None:
        check_database()
        for check in peer_checks:
            check()

    archives, searches = (
        confined(priced(ArchiveServicer(resources.library, resources.slots, _info(options)))),
        confined(priced(SearchServicer(resources))),
    )
    return (
        Service(
            NAMES[0],
            lambda server: archive_pb2_grpc.add_ArchiveServiceServicer_to_server(archives, server),
            check_archives,
        ),
        Service(
            NAMES[1],
            lambda server: search_pb2_grpc.add_SearchServiceServicer_to_server(searches, server),
            check_searches,
        ),
    )


def _info(options: SearcherSettings) -> archive_pb2.GetServerInfoResponse:
    from wordspot.models import espeak
    from wordspot.models.errors import SynthesisError

    languages: tuple[str, ...] = ()
    with suppress(SynthesisError):
        languages = espeak.languages()
    return archive_pb2.GetServerInfoResponse(
        version=metadata.version("wordspot"),
        default_encoder=options.default_encoder,
        read_only=options.read_only,
        synthesis_languages=languages,
    )


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def run(server_settings: ServerSettings, options: SearcherSettings) -> None:
    """Serves until asked to end; prints the address once ready."""
    load_compiled()
    searcher = Searcher(options)
    try:
        server, _ = create_server(searcher.services, server_settings)
        with served(
            lambda: [server.figures, searcher.figures()],
            server_settings.metrics_host,
            server_settings.metrics_port,
        ):
            serve(server)
    finally:
        searcher.close()
