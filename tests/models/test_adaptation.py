from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wordspot.models import adaptation, artifact, audio, export, registry
from wordspot.models.adaptation import Adaptation, ArchiveRegion
from wordspot.models.artifact import TrainingRecord
from wordspot.models.datasets.spectra import Spectra
from wordspot.models.encoders import load_encoder
from wordspot.models.encoders.map_training import Token
from wordspot.models.encoders.spans import SpanEncoder
from wordspot.models.encoders.transformer import Transformer, TransformerConfig
from wordspot.models.errors import BadInput
from wordspot.models.runtime.encoder import OnnxEncoder

SPEECH = Path(__file__).parents[1] / "data/speech.flac"
SMALL = TransformerConfig(
    states=32, layers=2, heads=2, feed_forward=48, whitened=24, hidden=16, frame_dimension=16, dimension=20
)
WORDS, TAKES = 48, 2
CLIP_S, LEAD_FRAMES, WORD_FRAMES = 0.9, 10, 25


def fresh() -> Transformer:
    torch.manual_seed(0)
    return Transformer(SMALL).eval()


def regions() -> list[ArchiveRegion]:
    """Stretches of a real recording that overlap, each in two tones, with an untrained network's frames."""
    model = fresh()
    found = []
    for number in range(WORDS):
        wave = audio.load(SPEECH, 0.3 + 0.19 * number, CLIP_S)
        for take, toned in enumerate((wave, np.diff(wave, prepend=0.0) + 0.3 * wave)):
            waveform = toned.astype(np.float32)
            spectrum = model.normalise([model.features(torch.from_numpy(waveform))])
            with torch.inference_mode():
                _, (frames,) = model.embed_regions(spectrum, torch.zeros(0, 3, dtype=torch.int64))
            found.append(ArchiveRegion(f"tone {take}/{number}", waveform, frames.numpy()))
    return found


def spoken() -> Any:
    return audio.load(SPEECH, 0.3, 6.0)


@pytest.fixture(scope="module")
def spectra() -> Spectra:
    return adaptation.spectra_of(regions())


@pytest.fixture(scope="module")
def clusters() -> list[list[Token]]:
    """The middle of each stretch, in both tones, which stand for recordings."""
    return [
        [
            Token(
                TAKES * word + take, LEAD_FRAMES, LEAD_FRAMES + WORD_FRAMES, f"tone {take}", f"{word}/{take}"
            )
            for take in range(TAKES)
        ]
        for word in range(WORDS)
    ]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With the encoder `small`, which has been trained for nothing."""
    card = TrainingRecord(
        "small",
        supervision="word times",
        licence="MIT",
        detection_threshold=3.5,
        calibration={"fitted_on": "a test"},
    )
    artifact.save(fresh(), card, tmp_path / "home/models/small")
    return tmp_path / "home"


def adapted(home: Path, spectra: Spectra, clusters: Any, **options: Any) -> adaptation.AdaptationResult:
    given: dict[str, Any] = {
        "steps": 2,
        "minutes": 5.0,
        "learned_from": {"note": "a test"},
        "speech": [spoken()],
    } | options
    return adaptation.adapt("small", spectra, clusters, home / "models/new", home=home, **given)


def test_regions_are_heard_in_whole_frames_beside_their_own_frames() -> None:
    wave = audio.load(SPEECH, 1.0, 0.55)[: 53 * 160]
    frames = 127 * np.eye(27, 16, dtype=np.int8)
    heard = adaptation.spectra_of(
        [ArchiveRegion("a", wave, frames), ArchiveRegion("b", wave[: 30 * 160], frames[:15])]
    )
    assert heard.names == ("a", "b")
    assert heard.bounds.tolist() == [0, 52, 82]
    assert heard.targets is not None
    assert heard.spectra.shape == (82, 80)
    assert heard.targets[:16].tolist() == np.eye(16).tolist()
    with pytest.raises(BadInput, match="no speech region"):
        adaptation.spectra_of([])


def test_a_part_of_the_clusters_is_held_out_by_lot(clusters: list[list[Token]]) -> None:
    known, judged = adaptation.split(clusters, seed=0)
    assert len(judged) == WORDS / 4
    assert sorted(str(one) for one in (*known, *judged)) == sorted(map(str, clusters))
    assert adaptation.split(clusters, seed=0) == (known, judged)
    assert adaptation.split(clusters, seed=1) != (known, judged)


def test_an_archive_that_repeats_little_is_refused_with_figures(clusters: list[list[Token]]) -> None:
    with pytest.raises(BadInput, match=r"47 stretches .* at least 48 are needed"):
        adaptation.split(clusters[1:], seed=0)


def test_only_the_upper_half_of_the_network_is_trained() -> None:
    model = fresh()
    training = Adaptation(model)
    (trained,) = training.players().values()
    named = {name for name, parameter in model.named_parameters() if any(parameter is one for one in trained)}
    assert {name.split(".")[0] for name in named} == {"blocks", "norm", "map", "projection"}
    assert {name.split(".")[1] for name in named if name.startswith("blocks")} == {"1"}
    assert {name for name, parameter in model.named_parameters() if parameter.requires_grad} == named


def test_training_brings_held_out_clusters_together_and_the_card_says_so(
    home: Path, spectra: Spectra, clusters: list[list[Token]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "LEARNING_RATE", 3e-3)
    done = adapted(home, spectra, clusters, steps=40, force=True)
    assert float(done.judgement.after.mean()) > float(done.judgement.before.mean())
    assert done.card is not None
    model, card = registry.load("new", home)
    (metric,) = card.metrics
    assert metric.baseline == pytest.approx(float(done.judgement.before.mean()))
    assert metric.value == pytest.approx(float(done.judgement.after.mean()))
    assert (card.name, card.model, card.licence, card.detection_threshold) == (
        "new",
        "transformer",
        "MIT",
        3.5,
    )
    assert card.calibration == {"fitted_on": "a test"}
    assert card.budget["trained_share"] == done.share
    assert done.share in adaptation.TRAINED_SHARES
    assert card.supervision == "none of its own; the base's: word times"
    base = artifact.read_card(home / "models/small")
    assert card.data == {
        "note": "a test",
        "clusters": WORDS * 3 // 4,
        "base": {"name": "small", "hash": base.hash},
    }
    before, after = fresh().state_dict(), model.state_dict()
    for name, tensor in before.items():
        upper = name.startswith(("blocks.1", "norm", "map", "projection"))
        if name not in ("map.mean", "map.whitening", "positions"):
            assert torch.equal(tensor.half().float(), after[name]) != upper, name


def test_one_that_did_not_is_written_only_by_force(
    home: Path, spectra: Spectra, clusters: list[list[Token]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "LEARNING_RATE", 0.0)
    left = adapted(home, spectra, clusters)
    assert not left.judgement.improved
    assert left.card is None
    assert not (home / "models/new").exists()
    forced = adapted(home, spectra, clusters, force=True)
    assert forced.card is not None
    assert (home / "models/new/card.json").is_file()


def test_of_what_training_changed_the_share_that_is_judged_best_is_kept(
    home: Path, spectra: Spectra, clusters: list[list[Token]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "LEARNING_RATE", 3e-3)
    weights = {}
    for share in (0.0, 0.5, 1.0):
        monkeypatch.setattr(adaptation, "TRAINED_SHARES", (share,))
        done = adapted(home, spectra, clusters, steps=10, force=True)
        assert done.share == share
        weights[share] = registry.load("new", home)[0].state_dict()["projection.weight"]
    assert torch.equal(weights[0.0], fresh().state_dict()["projection.weight"].half().float())
    assert not torch.equal(weights[0.0], weights[1.0])
    middle = (weights[0.0] + weights[1.0]) / 2
    torch.testing.assert_close(weights[0.5], middle, atol=1e-3, rtol=1e-3)
    monkeypatch.setattr(adaptation, "TRAINED_SHARES", (0.0, 1.0))
    done = adapted(home, spectra, clusters, steps=40, force=True)
    better = done.judgement.after.mean() > done.judgement.before.mean()
    assert done.share == float(better)


def test_the_artifact_runs_without_torch_like_its_base(
    home: Path, spectra: Spectra, clusters: list[list[Token]]
) -> None:
    card = adapted(home, spectra, clusters, force=True).card
    assert card is not None
    assert card.onnx is not None
    assert card.onnx.agreement >= card.onnx.tolerance
    light = load_encoder("new", home)
    assert isinstance(light, OnnxEncoder)
    model, _ = registry.load("new", home)
    assert isinstance(model, Transformer)
    exact = SpanEncoder(model, "new", card.hash, "", "cpu")
    section = ([spoken()], np.array([[0, 20, 80], [0, 200, 260]], np.int32))
    ((vectors, _),), ((expected, _),) = (one.embed_sections([section]) for one in (light, exact))
    assert float((vectors * expected).sum(axis=1).min()) > 0.98


def test_where_eight_bits_are_too_few_the_graph_has_all(
    home: Path, spectra: Spectra, clusters: list[list[Token]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(export.TOLERANCES, "int8", 1.1)
    card = adapted(home, spectra, clusters, force=True).card
    assert card is not None
    assert card.onnx is not None
    assert card.onnx.precision == "fp32"


def test_without_the_exporter_it_is_kept_and_runs_in_torch(
    home: Path, spectra: Spectra, clusters: list[list[Token]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    card = adapted(home, spectra, clusters, force=True).card
    assert card is not None
    assert card.onnx is None
    assert isinstance(load_encoder("new", home), SpanEncoder)


def test_the_same_seed_gives_the_same_artifact(
    home: Path, spectra: Spectra, clusters: list[list[Token]]
) -> None:
    first, again = (adapted(home, spectra, clusters, force=True).card for _ in range(2))
    other = adapted(home, spectra, clusters, force=True, seed=1).card
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.hash == again.hash != other.hash


def test_an_encoder_of_another_class_is_refused(
    home: Path, spectra: Spectra, clusters: list[list[Token]], tmp_path: Path
) -> None:
    with pytest.raises(
        BadInput, match=r"'dsa' is a dsa, which cannot be adapted; .*class transformer can: .*small"
    ):
        adaptation.adapt("dsa", spectra, clusters, tmp_path / "new", speech=[], home=home, learned_from={})
