"""Figures of the searcher for Prometheus: archives, the queue of queries, what they hold."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from wordspot.indexer.archive.library import Library
from wordspot.services.admission import WorkSlots
from wordspot.services.pricing import ByteBudget

_OF_ARCHIVES = {
    "recordings": "Recordings of an archive.",
    "indexed_recordings": "Recordings of an archive that are searchable.",
    "audio_seconds": "Sound of an archive.",
    "segments": "Segments of an archive that are searched.",
    "quarantined_segments": "Segments of an archive that are damaged and not searched.",
    "bytes": "Bytes of an archive on disk.",
}


class SearcherFigures(Collector):
    """Reads the figures when it is asked for them.

    Args:
        library: of the archives.
        slots: of queries that are answered at once.
        query_bytes: what the queries of all callers hold.
    """

    def __init__(self, library: Library, slots: WorkSlots, query_bytes: ByteBudget) -> None:
        self._library, self._slots, self._query_bytes = library, slots, query_bytes

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics as they are now."""
        yield GaugeMetricFamily("wordspot_search_queue", "Queries that wait.", self._slots.waiting)
        yield GaugeMetricFamily("wordspot_query_bytes", "Held by queries.", self._query_bytes.held)
        families = {
            name: GaugeMetricFamily(f"wordspot_archive_{name}", text, labels=("archive",))
            for name, text in _OF_ARCHIVES.items()
        }
        after = ""
        while True:
            page = self._library.list_archives(after)
            for archive in page.items:
                values = {
                    "recordings": archive.recordings,
                    "indexed_recordings": archive.indexed_recordings,
                    "audio_seconds": archive.audio_seconds,
                    "segments": archive.segments,
                    "quarantined_segments": len(archive.quarantined),
                    "bytes": archive.size,
                }
                for name, family in families.items():
                    family.add_metric((archive.name,), values[name])
            after = page.next
            if not after:
                break
        yield from families.values()

    def describe(self) -> Iterator[Metric]:
        """Yields nothing: the figures are read when they are asked for."""
        return iter(())
