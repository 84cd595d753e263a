"""What an archive gives to train on: a sample of its spans, or clusters of stretches that sound alike.

The indexer mines and reads, models learn: here the one's records become the other's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.errors import FailedPrecondition, InvalidInput
from wordspot.indexer.records import SAMPLE_RATE, TICKS_PER_SECOND, Samples
from wordspot.indexer.records import Region as TickRegion
from wordspot.services.limits import COMPARED_SECONDS, MAX_ADAPTATION_SECONDS, MAX_TRAINING_SPANS

if TYPE_CHECKING:
    from wordspot.indexer.archive.library import Library
    from wordspot.indexer.archive.view import ArchiveView
    from wordspot.indexer.search.mining import MiningResult, MiningSettings
    from wordspot.indexer.streams import Stream
    from wordspot.models.adaptation import ArchiveRegion
    from wordspot.models.datasets.spectra import Spectra
    from wordspot.models.encoders.archive_spans import ArchiveSpans
    from wordspot.models.encoders.map_training import Token


@dataclass(frozen=True)
class AdaptationMaterial:
    """What an archive gives to adapt its encoder.

    encoder: the archive's, by name.
    spectra: of the regions that are learned from.
    speech: some of these regions, float32 (samples,) at 16 kHz.
    clusters: of tokens in frames of `spectra`; those of one cluster sound alike.
    mined: pairs and clusters of stretches as the archive has them.
    learned_from: for the card of the adapted encoder.
    """

    encoder: str
    spectra: Spectra
    speech: Sequence[Samples]
    clusters: Sequence[Sequence[Token]]
    mined: MiningResult
    learned_from: Mapping[str, Any]


def gather_material(
    library: Library,
    archive: str,
    home: Path,
    mining: MiningSettings,
    progress: Callable[[int, int], None] = lambda done, total: None,
    warn: Callable[[str], None] = lambda message: None,
) -> AdaptationMaterial:
    """Mines an archive and reads the sound of its regions.

    Args:
        library: an open home.
        archive: an indexed archive of it.
        home: where the archive's encoder lies, unless it ships.
        mining: how it is mined.
        progress: called with searches done, of how many.
        warn: called with a message for each recording that cannot be read.

    Raises:
        NotFound: there is no such archive.
        FailedPrecondition: the archive is not indexed, or with another version of its encoder.
        UnknownModel: its encoder is not there.
        BadInput: its encoder cannot be adapted, or the archive gives too little.
    """
    from wordspot.indexer.search.mining import mine
    from wordspot.models import adaptation, artifact, registry

    view = library.view(archive)
    card = artifact.read_card(registry.find(view.encoder.name, home))
    adaptation.check_adaptable(card, home)
    if card.hash != view.encoder.hash:
        raise FailedPrecondition(
            f"archive {archive!r} was indexed with {view.encoder.name} {view.encoder.hash[:12]}, which is "
            f"now {card.hash[:12]}; index it again first"
        )
    mined = mine(view, mining, progress)
    adaptation.check_enough(len(mined.clusters))
    speech: list[Samples] = []
    regions = _read_regions(library, archive, view, sampled_regions(view, mined, mining.seed), warn)
    spectra = adaptation.spectra_of(_copying_speech(regions, speech))
    learned_from = {
        "note": f"the archive {archive!r}: what its encoder found alike in different recordings",
        "recordings": int(view.alive.sum()),
        "hours_of_speech": round(spectra.seconds / 3_600, 3),
        "pairs": len(mined.pairs),
    }
    return AdaptationMaterial(
        card.name, spectra, speech, cluster_tokens(view, mined, spectra), mined, learned_from
    )


def sampled_regions(view: ArchiveView, mined: MiningResult, seed: int) -> list[int]:
    """Returns ordinals of regions in order: those in which something was mined, and a random sample of others
    up to MAX_ADAPTATION_SECONDS in all."""
    mined_regions = sorted({stretch.region for cluster in mined.clusters for stretch in cluster})
    ticks = (view.region_stop - view.region_start).astype(np.int64)
    others = np.flatnonzero(view.alive[view.region_recording])
    others = np.random.default_rng(seed).permutation(np.setdiff1d(others, mined_regions))
    remaining_ticks = MAX_ADAPTATION_SECONDS * TICKS_PER_SECOND - int(ticks[mined_regions].sum())
    return sorted([*mined_regions, *others[np.cumsum(ticks[others]) <= remaining_ticks].tolist()])


def cluster_tokens(view: ArchiveView, mined: MiningResult, spectra: Spectra) -> list[list[Token]]:
    """Returns clusters of at least two recordings that could be read, as tokens in frames of the spectra."""
    from wordspot.models.datasets.spectra import TICKS_PER_TARGET
    from wordspot.models.encoders.map_training import Token

    clips = {name: number for number, name in enumerate(spectra.names)}
    clusters = []
    for cluster in mined.clusters:
        tokens = []
        for stretch in cluster:
            clip = clips.get(region_name(stretch.recording, stretch.region))
            if clip is None:
                continue
            origin = int(view.region_start[stretch.region])
            start, stop = ((tick - origin) / TICKS_PER_TARGET for tick in (stretch.start, stretch.stop))
            stop = min(stop, float(spectra.length(clip)))
            tokens.append(
                Token(clip, start, stop, str(stretch.recording), f"{stretch.region}/{stretch.start}")
            )
        if len({token.speaker for token in tokens}) > 1:
            clusters.append(tokens)
    return clusters


def region_name(recording: int, region: int) -> str:
    """Returns the name of a region among spectra, from ordinals of a view."""
    return f"{recording}/{region}"


def archive_spans(view: ArchiveView) -> ArchiveSpans:
    """Returns vectors and places of a sample of an archive's spans, at most about MAX_TRAINING_SPANS."""
    from wordspot.models.encoders.archive_spans import ArchiveSpans

    spans = _sampled_spans(view)
    region, start, stop = view.span_extents(spans)
    recording = view.region_recording[region].astype(np.int64)
    return ArchiveSpans(view.span_vectors(spans).astype(np.float32), recording, start, stop)


def _sampled_spans(view: ArchiveView) -> NDArray[np.int64]:
    """Returns the spans of randomly drawn recordings, in order of recording and start."""
    first_spans = view.recording_span
    alive = np.flatnonzero(view.alive)
    order = np.random.default_rng(0).permutation(alive)
    span_counts = np.diff(first_spans)[order].cumsum()
    recordings = np.sort(order[: np.searchsorted(span_counts, MAX_TRAINING_SPANS) + 1])
    ranges = [np.arange(first_spans[n], first_spans[n + 1]) for n in recordings]
    spans = np.concatenate([np.zeros(0, np.int64), *ranges])
    region, start, _ = view.span_extents(spans)
    return np.asarray(spans[np.lexsort((start, view.region_recording[region]))])


def _read_regions(
    library: Library,
    archive: str,
    view: ArchiveView,
    regions: Sequence[int],
    warn: Callable[[str], None],
) -> Iterator[ArchiveRegion]:
    """Yields the regions of recordings that can still be read; warns of others."""
    from wordspot.models import adaptation

    by_stream: dict[tuple[int, Stream], list[int]] = defaultdict(list)
    for region in regions:
        by_stream[int(view.region_recording[region]), view.stream(region)].append(region)
    for (recording, stream), ordinals in by_stream.items():
        stretches = [TickRegion(int(view.region_start[n]), int(view.region_stop[n])) for n in ordinals]
        try:
            waveforms = library.region_audio(archive, view.recordings[recording].id, stretches, stream)
            for ordinal, stretch, samples in zip(ordinals, stretches, waveforms, strict=True):
                frames = view.region_frames(ordinal, stretch.start, stretch.stop)
                yield adaptation.ArchiveRegion(region_name(recording, ordinal), samples, frames)
        except (FailedPrecondition, InvalidInput) as error:
            warn(f"not learned from: {error}")


def _copying_speech(regions: Iterable[ArchiveRegion], speech: list[Samples]) -> Iterator[ArchiveRegion]:
    """Yields the same regions; appends the sound of the first COMPARED_SECONDS to `speech`."""
    remaining_samples = round(COMPARED_SECONDS * SAMPLE_RATE)
    for region in regions:
        if remaining_samples > 0:
            speech.append(region.waveform[:remaining_samples].copy())
            remaining_samples -= len(region.waveform)
        yield region
