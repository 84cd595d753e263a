from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from wordspot.indexer.errors import FailedPrecondition, InvalidInput, NotFound
from wordspot.indexer.sound.detectors import EnergyDetector
from wordspot.indexer.sound.segmentation import SpeechSegmenter
from wordspot.models.errors import MissingWeights
from wordspot.services import runtime
from wordspot.services.errors import Overloaded
from wordspot.services.local_peers import LocalEncoders, LocalSegmenter

Say = Callable[..., np.ndarray]
SPANS = np.array([[0, 0, 60], [1, 20, 90]], np.int32)


def test_an_embedder_gives_what_its_encoder_does(
    offering: Callable[..., Any], band_encoder: Any, say: Say
) -> None:
    encoder = band_encoder()
    encoder.threshold, encoder.query_padding = 4.5, 30
    encoder.calibration = {"signals": ("score",)}
    embedder = LocalEncoders(offering(encoder)).get("bands")
    regions = [say("tea"), say("milk", "with")]
    ((vectors, frames),) = encoder.embed_sections([(regions, SPANS)])
    embedded = embedder.embed(regions, SPANS)
    assert np.array_equal(embedded.vectors, vectors)
    assert all(np.array_equal(a, b) for a, b in zip(embedded.frames, frames, strict=True))
    assert (embedder.info.name, embedder.info.dimension) == ("bands", 144)
    assert (embedder.threshold, embedder.query_padding) == (4.5, 30)
    assert embedder.calibration == {"signals": ("score",)}


def test_errors_of_models_are_told_as_the_archive_s(
    offering: Callable[..., Any], band_encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = band_encoder()
    encoders = offering(encoder)
    with pytest.raises(NotFound, match="'ears'"):
        LocalEncoders(encoders).get("ears")
    encoder.poison = 16_000
    with pytest.raises(InvalidInput, match="poisoned"):
        LocalEncoders(encoders).get("bands").embed([np.zeros(16_000, np.float32)], SPANS[:1])

    def missing(name: str) -> Any:
        raise MissingWeights(f"{name} lacks its weights")

    monkeypatch.setattr(encoders, "encoder", missing)
    with pytest.raises(FailedPrecondition, match="lacks its weights"):
        LocalEncoders(encoders).get("bands")


def test_an_encoder_that_shuts_down_is_asked_a_few_times_and_then_reported(
    offering: Callable[..., Any], band_encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "RETRY_DELAYS_S", (0.01,))
    encoders = offering(band_encoder())
    embedder = LocalEncoders(encoders).get("bands")
    encoders.close()
    with pytest.raises(Overloaded, match="shut down"):
        embedder.embed([np.zeros(16_000, np.float32)], SPANS[:1])


def test_a_segmenter_is_made_when_it_is_first_asked(say: Say) -> None:
    made: list[SpeechSegmenter] = []

    def make() -> SpeechSegmenter:
        if not made:
            made.append(SpeechSegmenter(EnergyDetector()))
        return made[0]

    local, direct = LocalSegmenter(make), SpeechSegmenter(EnergyDetector())
    assert made == []
    samples = say("milk", "with", "honey")
    assert local.regions(samples) == direct.regions(samples)
    ours, theirs = list(local.segment([samples])), list(direct.segment([samples]))
    assert [section.regions for section in ours] == [section.regions for section in theirs]
    assert all(np.array_equal(a.spans, b.spans) for a, b in zip(ours, theirs, strict=True))
    assert len(made) == 1
