"""Meanings on synthetic spans: two kinds that sound unlike and occur in the same contexts mean alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wordspot.models import artifact, registry
from wordspot.models.artifact import TrainingRecord
from wordspot.models.encoders import load_encoder
from wordspot.models.encoders.archive_spans import ArchiveSpans
from wordspot.models.encoders.contrastive import Contrastive
from wordspot.models.encoders.convolutional import ConvolutionalConfig
from wordspot.models.encoders.semantic import (
    CONTEXT_TICKS,
    Semantic,
    SemanticConfig,
    cooccurrences,
    factorised,
    learn,
    spherical_k_means,
)
from wordspot.models.errors import BadInput

SMALL = ConvolutionalConfig(width=8, dilations=(1,), frame_dimension=6, dimension=16)
WORDS = 12  # each 40 ticks long; 0 and 1 stand among 4 to 7, 2 and 3 among 8 to 11


def archive(recordings: int = 60, said: int = 60, dimension: int = 16) -> tuple[ArchiveSpans, np.ndarray]:
    """ArchiveSpans of words in a row, and which word each is."""
    rng = np.random.default_rng(0)
    sounds = rng.standard_normal((WORDS, dimension))
    words = []
    for _ in range(recordings):
        topic = rng.integers(2)
        about, beside = np.array([0, 1]) + 2 * topic, np.arange(4, 8) + 4 * topic
        words.append(np.where(rng.random(said) < 0.4, rng.choice(about, said), rng.choice(beside, said)))
    word = np.concatenate(words)
    vectors = sounds[word] + 0.15 * rng.standard_normal((len(word), dimension))
    start = np.tile(40 * np.arange(said), recordings)
    return (
        ArchiveSpans(vectors.astype(np.float32), np.repeat(np.arange(recordings), said), start, start + 40),
        word,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    card = TrainingRecord(
        "ear",
        licence="Apache-2.0",
        detection_threshold=4.5,
    )
    artifact.save(Contrastive(SMALL), card, tmp_path / "models/ear")
    return tmp_path


def test_what_occurs_in_like_contexts_means_alike_however_it_sounds(home: Path) -> None:
    spans, word = archive()
    learn(spans, "ear", home / "models/semantic", home=home)
    model: Any
    model, card = registry.load("semantic", home)
    unit = torch.from_numpy(spans.vectors / np.linalg.norm(spans.vectors, axis=1, keepdims=True))
    with torch.inference_mode():
        meaning = model.meaning(unit).numpy()
    mean = np.stack([meaning[word == n].mean(axis=0) for n in range(WORDS)])
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    alike = mean @ mean.T
    assert min(alike[0, 1], alike[2, 3]) > max(alike[0, 2], alike[0, 3], alike[1, 2], alike[1, 3]) + 0.3
    (figure,) = card.metrics
    assert figure.value > 0.7 > figure.baseline + 0.1
    assert card.detection_threshold == 4.5
    assert card.data["parent"]["name"] == "ear"


def test_the_same_spans_give_the_same_meanings(home: Path) -> None:
    spans, _ = archive()
    one, other = (learn(spans, "ear", home / name, home=home, seed=3) for name in ("one", "other"))
    assert one.weights_sha256 == other.weights_sha256


def test_its_vectors_are_the_parents_with_the_meaning_beside(home: Path) -> None:
    spans, _ = archive()
    learn(spans, "ear", home / "models/semantic", home=home)
    rng = np.random.default_rng(1)
    audio = 0.1 * rng.standard_normal(16_000).astype(np.float32)
    table = np.array([[0, 10, 60], [0, 30, 90]], np.int32)
    parent, semantic = (load_encoder(name, home) for name in ("ear", "semantic"))
    assert (parent.semantic_dimensions, semantic.semantic_dimensions) == (0, 64)
    assert semantic.dimension == parent.dimension + semantic.semantic_dimensions
    assert semantic.frame_dimension == parent.frame_dimension
    assert semantic.threshold == 4.5
    ((sound, frames),), ((both, same_frames),) = (
        encoder.embed_sections([([audio], table)]) for encoder in (parent, semantic)
    )
    np.testing.assert_allclose(both[:, :16] * np.sqrt(2), sound, atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(both[:, 16:], axis=1), np.sqrt(0.5), atol=1e-5)
    np.testing.assert_allclose(same_frames[0], frames[0], atol=2e-3)


def test_a_context_begins_behind_a_span_and_ends_with_the_recording() -> None:
    start = np.array([0, 20, 40, 40 + CONTEXT_TICKS + 41, 0])
    spans = ArchiveSpans(np.eye(5, dtype=np.float32), np.array([0, 0, 0, 0, 1]), start, start + 40)
    counts = cooccurrences(spans, torch.arange(5), 5).toarray()
    wanted = np.zeros((5, 5))
    wanted[0, 2] = wanted[2, 0] = 1  # 1 overlaps both, 3 is too far from all, 4 is elsewhere
    np.testing.assert_array_equal(counts, wanted)


def test_kinds_are_the_clouds_that_there_are() -> None:
    spans, word = archive()
    unit = torch.from_numpy(spans.vectors / np.linalg.norm(spans.vectors, axis=1, keepdims=True))
    centres = spherical_k_means(unit, 2 * WORDS, 0)
    own = (unit @ centres.T).argmax(dim=1).numpy()
    agreed = sum(np.bincount(word[own == kind]).max() for kind in np.unique(own))
    assert agreed / len(word) > 0.95


def test_products_of_vectors_come_near_the_information() -> None:
    counts = cooccurrences(archive()[0], torch.from_numpy(archive()[1]), WORDS)
    vectors = factorised(counts, WORDS - 1)
    alike = vectors @ vectors.T
    assert min(alike[0, 1], alike[0, 4]) > max(alike[0, 2], alike[0, 9])


def test_too_little_and_parents_that_do_not_fit_are_refused(home: Path) -> None:
    few, _ = archive(recordings=8)
    with pytest.raises(BadInput, match=r"480 spans as long as words in 8 recordings; 1,000 and 10"):
        learn(few, "ear", home / "one", home=home)
    spans, _ = archive(dimension=9)
    with pytest.raises(BadInput, match="vectors of 9 numbers; 16, as 'ear' makes them, are allowed"):
        learn(spans, "ear", home / "one", home=home)
    with pytest.raises(BadInput, match="an encoder of how spans sound is allowed"):
        learn(spans, "digits-cnn", home / "one", home=home)
    with pytest.raises(BadInput, match="'mlp' does not embed spans"):
        Semantic(SemanticConfig(parent="mlp"))
    assert not (home / "one").exists()
