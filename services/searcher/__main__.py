"""Wiring of the searcher: `python -m wordspot.services.searcher`."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack

from wordspot.indexer.records import Embedder, Segmenter
from wordspot.services import settings
from wordspot.services.runtime import Service, create_server, open_channel, serve
from wordspot.services.settings import SearcherSettings, ServerSettings
from wordspot.v1 import archive_pb2_grpc, search_pb2_grpc

NAMES = ("wordspot.v1.ArchiveService", "wordspot.v1.SearchService")


class Searcher:
    """An open home with both services on it."""

    def __init__(
        self,
        options: SearcherSettings,
        segmenter: Segmenter | None = None,
        embedder_for: Callable[[str], Embedder] | None = None,
    ) -> None:
        """segmenter, embedder_for: those of this process; None for the services that the settings name."""
        from wordspot.indexer.audio import DirectDecoder
        from wordspot.indexer.decoder import IsolatedDecoder
        from wordspot.indexer.library import Library
        from wordspot.indexer.vectors.choice import IndexPolicy
        from wordspot.services.searcher.peers import RemoteEncoders, RemoteSegmenter
        from wordspot.services.searcher.queries import Tools
        from wordspot.services.searcher.servicer import ArchiveServicer, SearchServicer

        with ExitStack() as closing:
            if segmenter is None:
                channel = open_channel(options.segmenter)
                closing.callback(channel.close)
                segmenter = RemoteSegmenter(channel, options.segmenter)
            if embedder_for is None:
                channel = open_channel(options.modelhost)
                closing.callback(channel.close)
                embedder_for = RemoteEncoders(channel, options.modelhost).get
            decoder = closing.enter_context(IsolatedDecoder()) if options.isolate else DirectDecoder()
            library = Library(
                options.home,
                database_url=options.database_url,
                decoder=decoder,
                segmenter=segmenter,
                embedder_for=embedder_for,
                default_encoder=options.default_encoder,
                roots=options.roots,
                index=IndexPolicy(options.index_kind),
                max_recording_seconds=options.max_recording_seconds,
                workers=options.workers,
            )
            closing.callback(library.close)
            self.library = library
            tools = Tools(library, decoder, segmenter, embedder_for, options.max_query_seconds)
            archives, searches = ArchiveServicer(library), SearchServicer(tools)
            self.services = (
                Service(
                    NAMES[0],
                    lambda server: archive_pb2_grpc.add_ArchiveServiceServicer_to_server(archives, server),
                ),
                Service(
                    NAMES[1],
                    lambda server: search_pb2_grpc.add_SearchServiceServicer_to_server(searches, server),
                ),
            )
            self._closing = closing.pop_all()

    def close(self) -> None:
        """Interrupts indexing; what is committed stays, the rest can be resumed."""
        self._closing.close()


def run(server_settings: ServerSettings, options: SearcherSettings) -> None:
    """Serves until asked to end; prints the address once ready."""
    searcher = Searcher(options)
    try:
        server, _ = create_server(searcher.services, server_settings)
        serve(server)
    finally:
        searcher.close()


if __name__ == "__main__":
    settings.arm_faults(os.environ)
    run(
        ServerSettings.read(os.environ),
        SearcherSettings.read(os.environ, home=settings.home(os.environ)),
    )
