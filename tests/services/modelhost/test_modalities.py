"""Sounds, texts, clips and what may be said besides, over a real server."""

from __future__ import annotations

import io
import json
import math
import threading
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch

from tests.services.small_models import SmallSound, SmallText, put_all
from wordspot import Models, Sound
from wordspot.indexer.errors import InvalidInput
from wordspot.models import artifact, registry
from wordspot.models.artifact import TrainingRecord
from wordspot.models.generators.vae import Vae, VaeConfig
from wordspot.services import wav
from wordspot.services.embedded import serving_models
from wordspot.services.errors import reason_of
from wordspot.services.modelhost.repository import load_models
from wordspot.services.runtime import open_channel
from wordspot.services.settings import ModelHostSettings
from wordspot.v1 import models_pb2 as pb
from wordspot.v1 import models_pb2_grpc

RATE = 8_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be read only."""
    home = tmp_path_factory.mktemp("home")
    put_all(home)
    put(home, "vae", Vae(VaeConfig(height=8, width=6, hidden=(16,), code=4)))
    return home


def put(home: Path, name: str, model: Any) -> Path:
    folder = home / "models" / name
    artifact.save(model, TrainingRecord(name), folder)
    return folder


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with serving_models(ModelHostSettings(home=home, device="cpu")) as address:
        yield address


@pytest.fixture(scope="module")
def models(address: str) -> Iterator[Models]:
    with Models(address) as client:
        yield client


@pytest.fixture(scope="module")
def stub(address: str) -> Iterator[models_pb2_grpc.ModelServiceStub]:
    with open_channel(address) as channel:
        yield models_pb2_grpc.ModelServiceStub(channel)


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_what_may_be_said_besides_is_told_and_stands_in_the_card(models: Models, home: Path) -> None:
    told = {model.name: (model.modality, list(model.options)) for model in models.list()}
    assert told["sound"] == ("sound", ["condition", "temperature"])
    assert told["clips"] == ("video", ["temperature"])
    assert told["vae"] == ("picture", [])
    assert models.card("poem")["options"] == ["condition", "temperature"]
    assert registry.available(home)["poem"].options == ("condition", "temperature")


def test_a_card_from_before_there_were_options_is_read(tmp_path: Path) -> None:
    path = put(tmp_path, "old", SmallSound(SmallSound.Config())) / "card.json"
    old = json.loads(path.read_text())
    del old["options"]
    path.write_text(json.dumps(old))
    assert artifact.read_card(path.parent).options == ()


def test_sounds_are_those_of_the_model_at_its_rate(models: Models, home: Path) -> None:
    model: Any = registry.load("sound", home)[0]
    sounds = models.sample_sounds("sound", 3, seed=5, temperature=0.5, condition="high")
    assert (sounds.samples.shape, sounds.rate) == ((3, 400), RATE)
    with torch.inference_mode():
        expected = model.sample(3, rng(5), temperature=0.5, condition="high").numpy()
    np.testing.assert_allclose(sounds.samples, expected, atol=0.51 / 32_768)
    likely = models.log_likelihood_of_sounds("sound", sounds, seed=0)
    np.testing.assert_allclose(likely, -sounds.samples.sum(axis=1), rtol=1e-5)


def test_texts_are_those_of_the_model(models: Models, home: Path) -> None:
    model: Any = registry.load("poem", home)[0]
    texts = models.sample_texts("poem", 4, seed=2, temperature=3.0, condition="7x2")
    with torch.inference_mode():
        assert texts == model.sample(4, rng(2), temperature=3.0, condition="7x2")
    assert {tuple(map(len, text.split("\n"))) for text in texts} == {(7, 7)}
    assert models.log_likelihood_of_texts("poem", ["天地", "黃"], seed=0).tolist() == [-2.0, -1.0]
    assert set("".join(models.sample_texts("poem", 9, seed=2, temperature=0.01))) == {"天"}


def test_clips_keep_the_frames_that_are_known(models: Models) -> None:
    drawn = models.sample_clips("clips", 2, seed=1)
    assert (drawn.shape, drawn.dtype) == ((2, 4, 5, 6), np.uint8)
    first, again, other = (
        models.complete_clips("clips", [drawn[0, :1], drawn[1, :3]], seed) for seed in (1, 1, 2)
    )
    assert first.shape == drawn.shape
    assert np.array_equal(first[0, :1], drawn[0, :1])
    assert np.array_equal(first[1, :3], drawn[1, :3])
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:, 3], other[:, 3])
    assert models.complete_clips("clips", [drawn[0, :1]], 1, temperature=0.001)[0, 1:].max() <= 1
    likely = models.log_likelihood_of_clips("clips", drawn, seed=0)
    np.testing.assert_allclose(likely, drawn.reshape(2, -1).sum(axis=1) / -255, rtol=1e-5)


def test_pictures_are_drawn_completed_and_strung_together_as_asked(models: Models) -> None:
    low, high = (models.sample("sprites", 5, 1, condition=condition) for condition in ("low", "high"))
    assert low.shape == (5, 5, 6, 3)
    assert low.max() < 128 < high.min()
    known = np.zeros((5, 5, 6), np.bool_)
    known[:, :2] = True
    filled = models.complete("sprites", low, known, 3, condition="high")
    assert np.array_equal(filled[:, :2], low[:, :2])
    assert filled[:, 2:].min() > 128
    series = list(models.generate("sprites", 3, 1, condition="high"))
    assert [part.shape for part in series] == [(5, 6, 3)] * 3
    assert min(part.min() for part in series) > 128


@pytest.mark.parametrize("kind", [SmallSound, SmallText])
def test_parts_come_one_by_one_as_they_are_made(
    models: Models, monkeypatch: pytest.MonkeyPatch, kind: type[SmallSound] | type[SmallText]
) -> None:
    gate = threading.Semaphore(0)
    monkeypatch.setattr(kind, "gate", gate)
    stream: Iterator[Any] = {
        SmallSound: lambda: models.generate_sound("sound", 3, seed=4, condition="high"),
        SmallText: lambda: models.generate_text("poem", 3, seed=4, temperature=2.0),
    }[kind]()
    made = []
    for _ in range(3):
        gate.release()  # no part but the next can be made
        made.append(next(stream))
    assert next(stream, None) is None
    for part in made:
        if isinstance(part, Sound):
            assert (part.samples.shape, part.rate) == ((100,), RATE)
            assert part.samples.min() > 0.6
        else:
            assert (len(part), part[1:]) == (2, "\n")


def test_loading_a_model_draws_nothing(home: Path) -> None:
    hosting = load_models(ModelHostSettings(home=home, device="cpu"))
    SmallSound.calls.clear()
    hosting.load("sound")
    assert SmallSound.calls == []
    hosting.close()


def sound_file(samples: bytes = b"\0\1" * 10, channels: int = 1, width: int = 2, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(samples)
    return file.getvalue()


def sounds(*files: bytes) -> pb.GetLogLikelihoodRequest:
    return pb.GetLogLikelihoodRequest(model="sound", sounds=pb.Sounds(wav=files))


def draw(model: str, **fields: Any) -> pb.SampleRequest:
    return pb.SampleRequest(model=model, count=1, **fields)


def seen(frames: int, **fields: Any) -> pb.CompleteRequest:
    from wordspot.services import png

    files = png.to_files(np.zeros((frames, 1, 5, 6), np.float32))
    return pb.CompleteRequest(model="clips", clips=pb.Clips(clips=[pb.Pictures(png=files)]), **fields)


BAD = {
    "a temperature of 0": (
        "Sample",
        draw("sound", temperature=0),
        "temperature must be between 0.001 and 1,000, got 0",
    ),
    "a negative temperature": ("Sample", draw("sound", temperature=-1.5), "1,000, got -1.5"),
    "a temperature that is no number": ("Sample", draw("sound", temperature=math.nan), "1,000, got nan"),
    "an endless temperature": ("Sample", draw("sound", temperature=math.inf), "1,000, got inf"),
    "the temperature of a series": (
        "Generate",
        pb.GenerateRequest(model="poem", count=1, temperature=-1),
        "1,000, got -1",
    ),
    "the temperature of the rest of a clip": ("Complete", seen(1, temperature=1e9), "1,000, got 1e+09"),
    "a temperature for a model without": (
        "Sample",
        draw("sprites", temperature=2),
        "options of model 'sprites' for sample must be condition, got temperature",
    ),
    "a condition for a model without": (
        "Generate",
        pb.GenerateRequest(model="vae", count=1, condition="seven"),
        "options of model 'vae' for generate must be left out, got condition",
    ),
    "an unknown condition": (
        "Sample",
        draw("sound", condition="middle"),
        "the condition 'middle'; low or high is allowed",
    ),
    "an unknown form": ("Sample", draw("poem", condition="sonnet"), "the form 'sonnet'; 5x4, 7x4"),
    "too many sounds": (
        "Sample",
        pb.SampleRequest(model="sound", count=1_025),
        "the number of samples must be between 1 and 1,024, got 1025",
    ),
    "a part of no sound": (
        "Generate",
        pb.GenerateRequest(model="sound"),
        "the number of parts must be between 1 and 1,024, got 0",
    ),
    "a series of clips": (
        "Generate",
        pb.GenerateRequest(model="clips", count=1),
        "cannot generate; it can complete, nll, sample",
    ),
    "no sounds": ("GetLogLikelihood", sounds(), "the number of sounds must be between 1 and 1,024, got 0"),
    "a sound of another rate": (
        "GetLogLikelihood",
        sounds(sound_file(rate=44_100)),
        "sound 0 must have 8000 samples a second, got 44100",
    ),
    "a sound for two ears": (
        "GetLogLikelihood",
        sounds(sound_file(channels=2)),
        "sound 0 must have 1 channel of 16 bits, got 2 of 16",
    ),
    "a sound of 8 bits": (
        "GetLogLikelihood",
        sounds(sound_file(width=1)),
        "1 channel of 16 bits, got 1 of 8",
    ),
    "sounds of two lengths": (
        "GetLogLikelihood",
        sounds(sound_file(), sound_file(b"\0\1" * 9)),
        "sound 1 must have 10 samples, as the first has, got 9",
    ),
    "an empty sound": ("GetLogLikelihood", sounds(sound_file(b"")), "sound 0 must have one sample or more"),
    "prose for a sound": ("GetLogLikelihood", sounds(b"prose"), "sound 0, 5 bytes, is not a WAV file"),
    "a sound whose header lies": (
        "GetLogLikelihood",
        sounds(sound_file()[:16] + b"\xff\xff\xff\x0f" + sound_file()[20:]),
        "is not a WAV file",
    ),
    "half a header": ("GetLogLikelihood", sounds(sound_file()[:20]), "sound 0, 20 bytes, is not a WAV file"),
    "a letter that is none": (
        "GetLogLikelihood",
        pb.GetLogLikelihoodRequest(model="poem", texts=pb.Texts(texts=["天a"])),
        "the text '天a'; 天地玄黃宇宙洪荒 are allowed",
    ),
    "texts for a model of sounds": (
        "GetLogLikelihood",
        pb.GetLogLikelihoodRequest(model="sound", texts=pb.Texts(texts=["天"])),
        "model 'sound' takes sounds, got texts",
    ),
    "half a clip to be judged": (
        "GetLogLikelihood",
        pb.GetLogLikelihoodRequest(model="clips", clips=seen(2).clips),
        "clip 0 must have 4 frames, got 2",
    ),
    "a clip of which nothing is known": (
        "Complete",
        seen(0),
        "clip 0 must have between 1 and 4 frames, got 0",
    ),
    "a clip that is too long": ("Complete", seen(5), "clip 0 must have between 1 and 4 frames, got 5"),
    "masks for a clip": (
        "Complete",
        seen(1, known=pb.Pictures(png=[b""])),
        "clips take no masks, got 1",
    ),
    "pictures for a model of clips": (
        "Complete",
        pb.CompleteRequest(model="clips", pictures=pb.Pictures(png=[b""])),
        "model 'clips' takes clips, got pictures",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_by_what_came_and_what_is_allowed(
    stub: models_pb2_grpc.ModelServiceStub, models: Models, case: str
) -> None:
    method, request, told = BAD[case]
    ask = getattr(stub, method)
    with pytest.raises(grpc.RpcError) as caught:
        list(ask(request)) if method == "Generate" else ask(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert told in caught.value.details()
    assert reason_of(caught.value) in ("MALFORMED_REQUEST", "BAD_INPUT")
    assert models.sample_sounds("sound", 1, seed=0).samples.shape == (1, 400)


def test_an_answer_that_no_message_holds_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "long", SmallSound(SmallSound.Config(samples=1_000_000)))
    with serving_models(ModelHostSettings(home=tmp_path, device="cpu")) as address, Models(address) as models:
        with pytest.raises(InvalidInput, match=r"the answer must have at most 16,777,216 bytes, got [\d,]+"):
            models.sample_sounds("long", 10, seed=0)
        assert models.sample_sounds("long", 1, seed=0).samples.shape == (1, 1_000_000)


def test_what_was_asked_for_in_another_form_is_told(models: Models) -> None:
    with pytest.raises(InvalidInput, match="model 'sound' gives sounds, not pictures"):
        models.sample("sound", 1, seed=0)
    with pytest.raises(InvalidInput, match="model 'poem' gives text, not sound"):
        next(models.generate_sound("poem", 1, seed=0))


def test_a_wav_file_comes_back_as_it_was() -> None:
    whole = np.random.default_rng(0).integers(-(1 << 15), 1 << 15, (2, 500))
    sounds = (whole / (1 << 15)).astype(np.float32)
    assert np.array_equal(wav.to_floats(wav.to_files(sounds, RATE), RATE), sounds)
    loud, _ = wav.decoded(wav.encoded(np.array([2.0, -2.0], np.float32), RATE))
    assert loud.tolist() == [1 - 2**-15, -1.0]
