"""Search by sound, by meaning, by both, on words whose meaning a fake encoder knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import grpc
import numpy as np
import pytest

from tests.services.conftest import BandEncoder, spoken
from wordspot import Client
from wordspot.indexer.errors import FailedPrecondition, InvalidInput
from wordspot.indexer.records import Mode
from wordspot.indexer.sound.audio import write_wav
from wordspot.models.runtime.sections import EmbeddedSection
from wordspot.services import errors
from wordspot.services.embedded import EmbeddedServer, EmbeddedSettings
from wordspot.services.modelhost.repository import ModelRepository
from wordspot.services.settings import SearcherSettings, SegmenterSettings
from wordspot.v1 import search_pb2

MEANINGS = {"tea": 0, "milk": 0, "honey": 1, "please": 2, "then": 3, "some": 4, "with": 5}


class WiseEncoder(BandEncoder):
    """Knows that tea and milk mean the same: a span means what the word does that it sounds most like."""

    semantic_dimensions = 8
    dimension = BandEncoder.dimension + semantic_dimensions

    def _embed(self, regions: Sequence[np.ndarray], spans: np.ndarray) -> EmbeddedSection:
        sound, frames = super()._embed(regions, spans)
        likeness = sound @ self._known().T
        nearest = likeness.argmax(axis=1)
        meanings = np.array(list(MEANINGS.values()))
        meaning = np.eye(self.semantic_dimensions, dtype=np.float32)[meanings[nearest]]
        # What sounds like no word well means nothing much.
        meaning = np.where(likeness.max(axis=1, keepdims=True) > 0.4, meaning, np.eye(8)[7])
        return np.concatenate([sound, meaning], axis=1).astype(np.float32) / np.sqrt(2), frames

    def _known(self) -> np.ndarray:
        """(words, D)."""
        rows = []
        for word in MEANINGS:
            audio = spoken(word)
            (row,), _ = super()._embed([audio], np.array([[0, 50, 110]]))
            rows.append(row)
        return np.stack(rows)


@pytest.fixture
def up(running: Callable[..., SimpleNamespace], recordings: dict[str, Path]) -> SimpleNamespace:
    up = running(WiseEncoder())
    with Client(up.address) as client:
        client.index(recordings.values())
    return up


@pytest.fixture
def client(up: SimpleNamespace) -> Iterator[Client]:
    with Client(up.address) as client:
        yield client


def found(client: Client, mode: str, top: int = 3) -> list[tuple[str, float]]:
    """File and start of the places most like a spoken "tea"."""
    hits = client.search(write_wav(spoken("tea", voice=9)), mode=mode, all_hits=True, top=top)
    return [(Path(hit.path).stem, round(hit.start, 1)) for hit in hits]


def test_by_meaning_a_word_is_found_that_sounds_otherwise(client: Client) -> None:
    alike = found(client, "sound", 2)
    assert {name for name, _ in alike} == {"tea", "both"}
    ranks = {
        mode: [name for name, _ in found(client, mode, 100)].index("milk") for mode in ("sound", "meaning")
    }
    assert ranks["meaning"] < 3 < ranks["sound"], ranks


def test_by_both_the_same_word_comes_first(client: Client) -> None:
    assert {name for name, _ in found(client, "both", 2)} == {"tea", "both"}
    assert "milk" in {name for name, _ in found(client, "both", 12)}


def test_sound_is_what_is_searched_by_where_nothing_is_said(client: Client, up: SimpleNamespace) -> None:
    query = write_wav(spoken("tea", voice=9))
    assert client.search(query, all_hits=True) == client.search(query, mode=Mode.SOUND, all_hits=True)
    options = search_pb2.SearchOptions(archive="default", include_undetected=True)
    parts = [
        search_pb2.SearchRequest(options=options),
        search_pb2.SearchRequest(query=search_pb2.QueryHeader(label="tea")),
        search_pb2.SearchRequest(chunk=query),
    ]
    (response,) = up.searches.Search(iter(parts))
    assert [hit.recording for hit in response.result.hits] == [
        hit.recording for hit in client.search(query, all_hits=True)
    ]


def test_half_a_vector_does_not_change_what_sounds_alike(
    running: Callable[..., SimpleNamespace], recordings: dict[str, Path], client: Client, tmp_path: Path
) -> None:
    plain = running(home=tmp_path / "plain")
    with Client(plain.address) as other:
        other.index(recordings.values())
        assert found(other, "sound", 2) == found(client, "sound", 2)


def test_indexed_again_compacted_and_restarted_it_answers_as_before(
    offering: Callable[..., ModelRepository], recordings: dict[str, Path], tmp_path: Path
) -> None:
    settings = EmbeddedSettings(
        segmenter=SegmenterSettings(detector="energy"),
        searcher=SearcherSettings(
            home=tmp_path / "home", roots=(tmp_path,), isolate=False, default_encoder="bands"
        ),
    )
    with EmbeddedServer(settings, offering(WiseEncoder())) as services, Client(services.address) as client:
        first, *others = recordings.values()
        assert client.index([first]).operation.recordings_done == 1
        assert client.index(others).operation.recordings_done == len(others)
        assert client.index(recordings.values()).operation.recordings_total == 0
        before = [found(client, mode) for mode in Mode]
        assert client.compact().segments_after == 1
        assert client.index(recordings.values()).operation.recordings_total == 0
        assert [found(client, mode) for mode in Mode] == before
    with EmbeddedServer(settings, offering(WiseEncoder())) as services, Client(services.address) as client:
        assert client.index(recordings.values()).operation.recordings_total == 0
        assert [found(client, mode) for mode in Mode] == before


@pytest.mark.parametrize("mode", ["meaning", "both"])
def test_an_encoder_without_meanings_says_so(
    running: Callable[..., SimpleNamespace], recordings: dict[str, Path], tmp_path: Path, mode: str
) -> None:
    plain = running(home=tmp_path / "plain")
    with Client(plain.address) as other:
        other.index(recordings.values())
        with pytest.raises(
            FailedPrecondition, match=r"'bands' represents how words sound.*wordspot train semantic"
        ):
            found(other, mode)


def test_other_modes_are_refused(client: Client, up: SimpleNamespace) -> None:
    with pytest.raises(InvalidInput, match="mode must be one of sound, meaning, both, got 'smell'"):
        found(client, "smell")
    options = search_pb2.SearchOptions(archive="default", mode=9)
    with pytest.raises(grpc.RpcError) as caught:
        list(up.searches.Search(iter([search_pb2.SearchRequest(options=options)])))
    assert errors.reason_of(caught.value) == "MALFORMED_REQUEST"
    assert "mode must be one of SEARCH_MODE_UNSPECIFIED" in caught.value.details()
