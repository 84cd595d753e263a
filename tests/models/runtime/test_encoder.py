"""Encoders in onnxruntime, held against the same networks in torch."""

from __future__ import annotations

import dataclasses
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tests.models.cards import card_of
from wordspot.models import artifact, audio, registry
from wordspot.models.artifact import TrainingRecord
from wordspot.models.encoders import load_encoder
from wordspot.models.encoders.contrastive import Contrastive
from wordspot.models.encoders.convolutional import ConvolutionalConfig
from wordspot.models.encoders.frame_map import MapConfig
from wordspot.models.encoders.pooled import PooledSpanModel
from wordspot.models.encoders.spans import SpanEncoder
from wordspot.models.encoders.whisper import Whisper, WhisperConfig
from wordspot.models.errors import BadInput, DamagedArtifact, UnknownModel
from wordspot.models.export import export, to_onnx
from wordspot.models.runtime import encoder as runtime
from wordspot.models.runtime.encoder import OnnxEncoder
from wordspot.models.runtime.networks import FAMILIES
from wordspot.models.runtime.pieces import pieces_of
from wordspot.models.runtime.sections import buckets

pytest.importorskip("onnx", reason="needs the extra `export`")

SPEECH = Path(__file__).parents[2] / "data/speech.flac"
SMALL = ConvolutionalConfig(width=24, dilations=(1, 2), frame_dimension=16, dimension=20, parts=2)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return audio.load(SPEECH, 0.5, 10)


@pytest.fixture(scope="module")
def section(speech: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    cuts = [speech[:50_000], speech[60_000:61_000], speech[70_000:70_700], speech[90_000:160_000]]
    spans = np.array([[0, 0, 60], [1, 0, 7], [0, 100, 313], [3, 5, 437], [2, 1, 5]], np.int32)
    return cuts, spans


@pytest.fixture
def home(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    artifact.save(Contrastive(SMALL), TrainingRecord("small"), tmp_path / "models/small")
    return tmp_path


class Windowed(PooledSpanModel[MapConfig]):
    """The smallest network of the family `transformer`: each frame hears a little to its left and right."""

    family = "transformer"

    def __init__(self) -> None:
        super().__init__(MapConfig(frame_dimension=16, dimension=12))
        self.parts, self.dimension, self.frame_dimension = 3, 12, 16
        self.conv = nn.Conv1d(80, 32, 3, stride=2, padding=1)
        self.linear = nn.Linear(32, 16)
        self.projection = nn.Linear(48, 12)

    def features(self, waveform: Tensor) -> Tensor:
        return Whisper(WhisperConfig()).features(waveform)

    def normalise(self, regions: list[Tensor]) -> list[Tensor]:
        return Whisper(WhisperConfig()).normalise(regions)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.linear(self.conv(features).transpose(1, 2))
        return out

    def frames(self, features: Tensor, lengths: Tensor) -> Tensor:
        out = features.new_zeros(len(features), -(-features.shape[1] // 2), 16)
        for row, length in enumerate(lengths.tolist()):
            region = features[row, :length].numpy()
            for piece in pieces_of(row, length):
                heard = normalize(self(torch.from_numpy(piece.cut(region)))[0], dim=1)
                out[row, piece.frames] = heard[piece.window_frames]
        return out


def light(model: PooledSpanModel[Any], precision: str, threads: int = 1) -> OnnxEncoder:
    assert model.family is not None
    card = card_of("phonetic", "speech", "embed", name="small", config=dataclasses.asdict(model.config))
    run, told = runtime.session(to_onnx(model, card, precision))
    size = model.parts * model.frame_dimension
    projection = runtime.Projection(
        runtime.decoded(told[runtime.PROJECTION_WEIGHT]).reshape(-1, size),
        runtime.decoded(told[runtime.PROJECTION_BIAS]),
    )
    return OnnxEncoder(FAMILIES[model.family](run, card.config), projection, card, "light", threads)


@pytest.mark.parametrize("make", [lambda: Contrastive(SMALL), Windowed], ids=["convolutional", "transformer"])
@pytest.mark.parametrize(("precision", "atol"), [("fp32", 2e-4), ("int8", 0.1)])
def test_every_family_gives_what_torch_gives(make: Any, precision: str, atol: float, section: Any) -> None:
    torch.manual_seed(1)
    model = make().eval()
    sections = [section, ([], np.zeros((0, 3), np.int32)), ([section[0][0][::-1].copy()], section[1][:1])]
    expected = SpanEncoder(model, "exact", "", "", "cpu").embed_sections(sections)
    for (vectors, frames), (exact, exact_frames) in zip(
        light(model, precision).embed_sections(sections), expected, strict=True
    ):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, exact, atol=atol)
        for one, other in zip(frames, exact_frames, strict=True):
            np.testing.assert_allclose(one, other, atol=atol)


@pytest.mark.parametrize("make", [lambda: Contrastive(SMALL), Windowed], ids=["convolutional", "transformer"])
def test_threads_of_its_own_and_of_its_callers_change_nothing(make: Any, section: Any) -> None:
    torch.manual_seed(1)
    model = make().eval()
    ((vectors, frames),) = light(model, "int8").embed_sections([section])
    several = light(model, "int8", threads=3)
    with ThreadPoolExecutor(4) as callers:
        for ((others, heard),) in callers.map(several.embed_sections, [[section]] * 8):
            np.testing.assert_array_equal(others, vectors)
            for one, other in zip(heard, frames, strict=True):
                np.testing.assert_array_equal(one, other)


def test_an_exported_artifact_is_loaded_without_its_class_and_keeps_its_hash(
    home: Path, speech: np.ndarray, section: Any
) -> None:
    before = load_encoder("small", home)
    card = export("small", [speech], home, precision="fp32")
    after = load_encoder("small", home)
    assert isinstance(before, SpanEncoder)
    assert isinstance(after, OnnxEncoder)
    assert after.hash == before.hash == card.hash
    assert card.onnx is not None
    assert card.onnx.agreement >= card.onnx.tolerance > 0.999
    ((vectors, _),) = after.embed_sections([section])
    ((expected, _),) = before.embed_sections([section])
    np.testing.assert_allclose(vectors, expected, atol=2e-4)


def test_a_changed_byte_in_the_graph_is_noticed(home: Path, speech: np.ndarray) -> None:
    export("small", [speech], home, precision="fp32")
    path = home / "models/small" / artifact.ONNX
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedArtifact, match=r"model\.onnx: SHA-256"):
        load_encoder("small", home)
    path.unlink()
    with pytest.raises(DamagedArtifact, match=r"model\.onnx: cannot be read"):
        load_encoder("small", home)


def test_a_graph_of_other_weights_is_refused(home: Path, speech: np.ndarray) -> None:
    card = export("small", [speech], home, precision="fp32")
    torch.manual_seed(7)
    folder = home / "models/small"
    other = artifact.save(Contrastive(SMALL), card, folder)
    assert other.onnx is None, "new weights have no graph yet"
    artifact.write_card(dataclasses.replace(other, onnx=card.onnx), folder)
    with pytest.raises(DamagedArtifact, match="wordspot models export small"):
        load_encoder("small", home)


def test_a_graph_that_disagrees_is_not_written(
    home: Path, speech: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wordspot.models.export._projection", lambda model: runtime.Projection(
        -model.projection.weight.detach().numpy(), model.projection.bias.detach().numpy()
    ))  # fmt: skip
    with pytest.raises(DamagedArtifact, match=r"similarity of -?[0-9.]+ or less to that of the torch model"):
        export("small", [speech], home)
    assert not (home / "models/small" / artifact.ONNX).exists()
    assert registry.available(home)["small"].onnx is None


def test_what_cannot_be_exported_is_named(home: Path, speech: np.ndarray) -> None:
    with pytest.raises(UnknownModel, match="cannot run without torch"):
        export("naive", [speech], home)
    with pytest.raises(BadInput, match="precision is 'fp8'"):
        export("small", [speech], home, precision="fp8")
    with pytest.raises(BadInput, match="at least 100 are needed"):
        export("small", [speech[:8_000]], home)


def test_the_graph_that_ships_agrees_with_the_torch_model(speech: np.ndarray, tmp_path: Path) -> None:
    folder = registry.find("phonetic")
    card = registry.available()["phonetic"]
    assert card.onnx is not None
    bare = tmp_path / "models/bare"
    shutil.copytree(folder, bare)
    artifact.write_card(dataclasses.replace(card, onnx=None), bare)
    cuts = [speech[:64_000], speech[64_000:]]
    spans = np.array([[row, start, start + 60] for row in (0, 1) for start in range(0, 300, 10)], np.int32)
    ((expected, exact),) = load_encoder("bare", tmp_path).embed_sections([(cuts, spans)])
    ((vectors, frames),) = load_encoder("phonetic").embed_sections([(cuts, spans)])
    assert (vectors * expected).sum(axis=1).min() > card.onnx.tolerance
    for one, other in zip(frames, exact, strict=True):
        assert (one * other).sum(axis=1).min() > card.onnx.tolerance


def test_buckets_hold_every_region_once() -> None:
    lengths = [3, 29_000, 500, 700, 40_000, 1]
    found = buckets(lengths)
    assert sorted(i for bucket in found for i in bucket) == list(range(6))
    assert all(len(bucket) * max(lengths[i] for i in bucket) <= 30_000 for bucket in found if len(bucket) > 1)
