"""The model service over a real server, with small artifacts of a home of its own."""

from __future__ import annotations

import hashlib
import json
import pickle  # noqa: TID251  # to see it refused
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from wordspot import Models
from wordspot.indexer.errors import DataLoss, FailedPrecondition, InvalidInput, NotFound
from wordspot.models import artifact, registry
from wordspot.models.artifact import TrainingRecord
from wordspot.models.encoders.deep_autoencoder import DeepAutoencoder, DeepAutoencoderConfig
from wordspot.models.encoders.mlp import Mlp, MlpConfig
from wordspot.models.encoders.naive import Naive, NaiveConfig
from wordspot.models.encoders.word_vectors import WordVectors
from wordspot.models.errors import BadInput
from wordspot.models.generators.vae import Vae, VaeConfig
from wordspot.services.embedded import EmbeddedServer, EmbeddedSettings, serving_models
from wordspot.services.errors import Overloaded
from wordspot.services.modelhost.repository import load_models
from wordspot.services.modelhost.tasks import PartQueue, Task
from wordspot.services.runtime import open_channel
from wordspot.services.settings import ModelHostSettings, SearcherSettings, ServerSettings
from wordspot.v1 import embedding_pb2, embedding_pb2_grpc

SIZE = {"height": 8, "width": 6}
WORDS = {
    "man": [1.0, 0.0, 0.1],
    "woman": [1.0, 1.0, 0.0],
    "king": [0.0, 0.0, 1.0],
    "queen": [0.1, 1.0, 1.0],
    "Größe": [-1.0, 0.0, 0.0],
}


def put(home: Path, name: str, model: Any) -> Path:
    folder = home / "models" / name
    artifact.save(model, TrainingRecord(name), folder)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    put(tmp_path, "small-vae", Vae(VaeConfig(**SIZE, hidden=(16,), code=4)))
    put(tmp_path, "small-mlp", Mlp(MlpConfig(**SIZE, classes=3, hidden=(16,))))
    coloured = DeepAutoencoder(DeepAutoencoderConfig(**SIZE, channels=3, hidden=(16,), code=2))
    put(tmp_path, "small-colour", coloured)
    put(tmp_path, "small-words", WordVectors.of(list(WORDS), torch.tensor([*WORDS.values()])))
    return tmp_path


@pytest.fixture
def models(home: Path) -> Iterator[Models]:
    with serving_models(ModelHostSettings(home=home, device="cpu")) as address, Models(address) as client:
        yield client


def pictures(count: int, *channels: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 8, 6, *channels), dtype=np.uint8)


def test_models_are_listed_with_what_they_can_do(models: Models) -> None:
    told = {model.name: model for model in models.list()}
    assert {"phonetic", "small-vae", "small-mlp"} <= told.keys()
    assert told["small-vae"].modality == "picture"
    assert set(told["small-vae"].capabilities) == {
        *("encode", "decode", "reconstruct", "sample", "nll", "complete", "generate")
    }
    assert not told["small-vae"].loaded
    assert models.card("small-vae")["config"]["code"] == 4


def test_answers_are_those_of_the_model_itself(models: Models, home: Path) -> None:
    vae: Any = registry.load("small-vae", home)[0]
    mlp: Any = registry.load("small-mlp", home)[0]
    given = pictures(5)
    floats = torch.from_numpy(given).float()[:, None] / 255
    with torch.inference_mode():
        codes = vae.encode(floats).numpy()
        np.testing.assert_allclose(models.encode("small-vae", given), codes, atol=1e-5)
        np.testing.assert_allclose(models.classify("small-mlp", given), mlp.classify(floats), atol=1e-5)
        decoded = vae.decode(torch.from_numpy(codes))[:, 0].numpy() * 255
        assert np.abs(models.decode("small-vae", codes) - decoded).max() <= 0.51
        assert np.abs(models.reconstruct("small-vae", given) - decoded).max() <= 0.51
        likely = -vae.nll(floats, torch.Generator().manual_seed(3)).numpy()
        np.testing.assert_allclose(models.log_likelihood("small-vae", given, seed=3), likely, atol=1e-3)


def test_coloured_pictures_stay_coloured(models: Models) -> None:
    given = pictures(3, 3)
    assert models.reconstruct("small-colour", given).shape == given.shape
    assert models.sample("small-colour", 2, seed=0).shape == (2, 8, 6, 3)


def test_the_same_seed_gives_the_same_bytes_beside_other_callers(models: Models) -> None:
    alone = models.sample("small-vae", 7, seed=5)
    assert not np.array_equal(alone, models.sample("small-vae", 7, seed=6))
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda seed: models.sample("small-vae", 7, seed), [5, 1, 5, 2, 5, 3, 5, 4]))
    for number in (0, 2, 4, 6):
        assert np.array_equal(drawn[number], alone)


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda m: m.sample("cats", 1, 0), NotFound, "no model 'cats'; there are"),
        (lambda m: m.sample("small-mlp", 1, 0), InvalidInput, "cannot sample; it can classify, encode"),
        (
            lambda m: m.sample("small-vae", 10_000, 0),
            InvalidInput,
            "the number of samples must be between 1 and 1,024, got 10000",
        ),
        (
            lambda m: m.sample("small-vae", 0, 0),
            InvalidInput,
            "the number of samples must be between 1 and 1,024, got 0",
        ),
        (
            lambda m: m.encode("small-vae", np.zeros((1, 6, 8), np.uint8)),
            InvalidInput,
            "picture 0 must have 6x8 pixels, got 8x6",
        ),
        (
            lambda m: m.decode("small-vae", np.zeros((2, 3), np.float32)),
            InvalidInput,
            "code 0 must have 4 numbers, got 3",
        ),
        (
            lambda m: m.decode("small-vae", np.full((1, 4), np.nan, np.float32)),
            InvalidInput,
            "codes must hold finite numbers",
        ),
        (
            lambda m: m.encode("small-vae", np.zeros((0, 8, 6), np.uint8)),
            InvalidInput,
            "the number of pictures must be between 1 and 1,024, got 0",
        ),
        (
            lambda m: m.complete("small-vae", pictures(1), np.ones((1, 6, 8), bool), 0),
            InvalidInput,
            "picture 0 must have 6x8 pixels, got 8x6",
        ),
        (
            lambda m: m.complete("small-vae", pictures(2), np.ones((1, 8, 6), bool), 0),
            InvalidInput,
            "the number of masks must be that of pictures, 2, got 1",
        ),
        (
            lambda m: list(m.generate("small-vae", 2_000, 0)),
            InvalidInput,
            "the number of parts must be between 1 and 1,024, got 2000",
        ),
        (lambda m: m.encode("small-words", pictures(1)), InvalidInput, "takes words, got pictures"),
        (lambda m: m.encode_words("small-vae", ["man"]), InvalidInput, "takes pictures, got words"),
        (
            lambda m: m.encode_words("small-words", []),
            InvalidInput,
            "the number of words must be between 1 and 1,024, got 0",
        ),
        (
            lambda m: m.neighbours("small-words", "quen"),
            InvalidInput,
            "the word 'quen' is none of the 5 that are known; did you mean queen",
        ),
        (
            lambda m: m.neighbours("small-words", "man", 0),
            InvalidInput,
            "the number of neighbours must be between 1 and 1,024, got 0",
        ),
    ],
)
def test_bad_input_is_told_and_the_server_goes_on(
    models: Models, call: Any, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        call(models)
    assert models.sample("small-vae", 1, seed=0).shape == (1, 8, 6)


def test_words_have_codes_neighbours_and_analogies(models: Models) -> None:
    codes, unknown = models.encode_words("small-words", ["Queen", "Größe", "cat", "man"])
    np.testing.assert_allclose(codes, [WORDS["queen"], WORDS["Größe"], [0, 0, 0], WORDS["man"]], atol=1e-6)
    assert unknown == ["cat"]
    assert [word for word, _ in models.neighbours("small-words", "king", 2)] == ["queen", "man"]
    assert len(models.neighbours("small-words", "king", 10)) == 4
    assert models.analogy("small-words", "man", "king", "woman")[0][0] == "queen"
    kept = [word for word, _ in models.analogy("small-words", "man", "man", "king", 5, keep_given=True)]
    assert kept[0] == "king"
    assert len(kept) == 5


def test_what_is_known_of_a_picture_stays_and_the_rest_depends_on_the_seed(models: Models) -> None:
    given, known = pictures(3), np.random.default_rng(2).random((3, 8, 6)) < 0.5
    first, again, other = (models.complete("small-vae", given, known, seed) for seed in (1, 1, 2))
    assert np.array_equal(first[known], given[known])
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_parts_come_as_they_are_made_and_none_after_the_caller_has_gone(home: Path) -> None:
    hosting = load_models(ModelHostSettings(home=home, device="cpu"))
    model, made = hosting.get("small-vae").model.module, []
    generate = model.generate

    def counted(count: int, rng: torch.Generator) -> Iterator[torch.Tensor]:
        for part in generate(count, rng):
            made.append(len(made))
            time.sleep(0.01)
            yield part

    model.generate = counted
    parts = PartQueue()
    stream = parts.parts_until(hosting.submit("small-vae", Task("generate", count=500, parts=parts)))
    assert next(stream).shape == (1, 8, 6)
    assert len(made) < 100
    stream.close()
    hosting.unload("small-vae")  # waits for what is under way
    assert len(made) < 100
    hosting.close()


def test_a_stream_ends_with_its_last_part_and_not_with_those_that_wait_behind_it(home: Path) -> None:
    hosting = load_models(ModelHostSettings(home=home, device="cpu"))
    model, go_on = hosting.get("small-vae").model.module, threading.Semaphore(1)
    generate = model.generate

    def held(count: int, rng: torch.Generator) -> Iterator[torch.Tensor]:
        assert go_on.acquire(timeout=10)
        yield from generate(count, rng)

    model.generate = held
    drawn = [PartQueue() for _ in range(3)]
    running = [hosting.submit("small-vae", Task("generate", count=4, parts=parts)) for parts in drawn]
    assert len(list(drawn[0].parts_until(running[0]))) == 4
    assert not running[1].done()
    for parts, work in zip(drawn[1:], running[1:], strict=True):
        go_on.release()
        assert len(list(parts.parts_until(work))) == 4
    hosting.close()


def test_a_device_that_is_not_there_is_told(home: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    settings = ModelHostSettings(home=home, device="cpu", placements=("small-vae=cuda:1/fp16",))
    with serving_models(settings) as address, Models(address) as models:
        with pytest.raises(
            FailedPrecondition, match="device must be cpu, got 'cuda:1': there is no CUDA device"
        ):
            models.sample("small-vae", 1, seed=0)
        assert models.classify("small-mlp", pictures(1)).shape == (1, 4)


def test_a_walk_is_the_same_for_the_same_seed(models: Models) -> None:
    walks = [list(models.generate("small-vae", 30, seed)) for seed in (1, 1, 2)]
    assert np.array_equal(walks[0], walks[1])
    assert not np.array_equal(walks[0], walks[2])
    steps = np.abs(np.diff(np.array(walks[0], np.float32), axis=0)).mean(axis=(1, 2))
    assert steps.max() < 20


def test_a_model_runs_where_and_as_precisely_as_it_is_placed(home: Path) -> None:
    given = pictures(4)
    settings = [
        ModelHostSettings(home=home, device="cpu", placements=("small-vae=cpu/bf16", "small-mlp=cpu")),
        ModelHostSettings(home=home, device="cpu"),
    ]
    answers = []
    for one in settings:
        with serving_models(one) as address, Models(address) as models:
            answers.append((models.encode("small-vae", given), models.classify("small-mlp", given)))
    (rough, same), (exact, chances) = answers
    np.testing.assert_array_equal(same, chances)
    assert 0 < np.abs(rough - exact).max() < 0.02


@pytest.mark.parametrize("file", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n and no more"])
def test_what_is_no_png_is_refused(home: Path, file: bytes) -> None:
    from wordspot.services import png

    with pytest.raises(BadInput, match=r"picture 0, \d+ bytes, is not a PNG file"):
        png.to_floats([file], (1, 8, 6))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"sRGB", b""),
        (b"fcTL", b"?"),
        (b"fdAT", b"?"),
        (b"pHYs", b"?"),
        (b"zTXt", b"key\0\0" + zlib.compress(bytes(2 << 20))),
        (b"iCCP", b"key\0\0" + zlib.compress(bytes(2 << 20))),
    ],
)
def test_a_png_with_a_damaged_or_swollen_chunk_is_refused(name: bytes, body: bytes) -> None:
    from wordspot.services import png

    whole = png.to_files(np.zeros((1, 1, 8, 6), np.float32))[0]
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    after_header = 33
    damaged = whole[:after_header] + chunk + whole[after_header:]
    with pytest.raises(BadInput, match=r"picture 0, \d+ bytes, is not a PNG file"):
        png.to_floats([damaged], (1, 8, 6))


def test_a_png_of_more_pixels_than_memory_is_refused() -> None:
    from wordspot.services import png

    header = struct.pack(">IIBBBBB", 1 << 20, 1 << 20, 8, 0, 0, 0, 0)
    chunk = (
        struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )
    with pytest.raises(BadInput, match="picture 0, 33 bytes, is not a PNG file"):
        png.to_floats([b"\x89PNG\r\n\x1a\n" + chunk], (1, 8, 6))


def test_a_changed_byte_fails_that_model_and_no_other(models: Models, home: Path) -> None:
    path = home / "models/small-vae/model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataLoss, match="SHA-256"):
        models.sample("small-vae", 1, seed=0)
    assert models.classify("small-mlp", pictures(2)).shape == (2, 4)


def test_a_pickle_in_place_of_weights_is_refused_and_not_executed(models: Models, home: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (home / "sprung",))

    content = pickle.dumps(Trap())
    folder = home / "models/small-vae"
    (folder / "model.safetensors").write_bytes(content)
    card = json.loads((folder / "card.json").read_text())
    card["weights_sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(DataLoss, match="not a safetensors file"):
        models.sample("small-vae", 1, seed=0)
    assert not (home / "sprung").exists()
    assert models.classify("small-mlp", pictures(2)).shape == (2, 4)


def test_a_card_that_asks_for_an_unknown_class_is_refused(models: Models, home: Path) -> None:
    path = home / "models/small-vae/card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model": "os.system"}))
    with pytest.raises(NotFound, match=r"no model class 'os\.system'"):
        models.sample("small-vae", 1, seed=0)


def test_a_model_is_loaded_unloaded_and_loaded_again_by_its_next_call(models: Models) -> None:
    assert models.load("small-vae").loaded
    assert models.load("small-vae").loaded
    first = models.sample("small-vae", 3, seed=1)
    assert not models.unload("small-vae").loaded
    assert not models.unload("small-vae").loaded
    assert np.array_equal(models.sample("small-vae", 3, seed=1), first)


def test_a_model_is_changed_under_load_without_a_failed_call(models: Models, home: Path) -> None:
    ended = threading.Event()
    answered: list[int] = []

    def ask(seed: int) -> None:
        while not ended.is_set():
            answered.append(len(models.sample("small-vae", 2, seed)))

    before = models.sample("small-vae", 2, seed=1)
    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(ask, seed) for seed in range(4)]
        for change in range(5):
            torch.manual_seed(100 + change)
            put(home, "small-vae", Vae(VaeConfig(**SIZE, hidden=(16,), code=4)))
            models.load("small-vae")
        ended.set()
        for caller in callers:
            caller.result()
    assert set(answered) == {2}
    assert not np.array_equal(models.sample("small-vae", 2, seed=1), before)


def test_a_full_queue_turns_calls_away(home: Path) -> None:
    hosting = load_models(ModelHostSettings(home=home, device="cpu", queue_sections=1))
    hosted = hosting.get("small-vae")
    reached, go_on = threading.Event(), threading.Event()
    sample = hosted.model.module.sample

    def held(count: int, rng: torch.Generator) -> torch.Tensor:
        reached.set()
        assert go_on.wait(10)
        return sample(count, rng)

    hosted.model.module.sample = held
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(hosting.call, "small-vae", Task("sample", count=1))
        assert reached.wait(10)
        second = pool.submit(hosting.call, "small-vae", Task("sample", count=1))
        while not hosted._batcher._jobs:
            pass
        with pytest.raises(Overloaded, match=r"at most 1 requests may wait for model 'small-vae', and 1 do"):
            hosting.call("small-vae", Task("sample", count=1))
        go_on.set()
        assert len(first.result()) == len(second.result()) == 1
    hosting.close()


def test_memory_does_not_grow_with_loading_and_unloading(tmp_path: Path) -> None:
    large = DeepAutoencoder(DeepAutoencoderConfig(hidden=(1_500,), code=30))  # 10 MB
    put(tmp_path, "large", large)
    hosting = load_models(ModelHostSettings(home=tmp_path, device="cpu"))

    def cycle() -> int:
        hosting.load("large")
        hosting.call("large", Task("sample", count=1))
        hosting.unload("large")
        return int(psutil.Process().memory_info().rss)

    for _ in range(3):
        cycle()
    start = cycle()
    assert max(cycle() for _ in range(30)) <= start + 20e6
    hosting.close()


def test_an_encoder_of_speech_is_loaded_where_it_runs(home: Path) -> None:
    settings = EmbeddedSettings(
        modelhost=ModelHostSettings(home=home, device="cpu"),
        searcher=SearcherSettings(home=home),
        server=ServerSettings(port=0),
    )
    with EmbeddedServer(settings) as embedded, Models(embedded.address) as models:
        assert models.load("naive").loaded
        stub = embedding_pb2_grpc.EmbeddingServiceStub(open_channel(embedded.address))
        first = stub.GetEncoder(embedding_pb2.GetEncoderRequest(name="naive")).encoder.hash
        put(home, "naive", Naive(NaiveConfig(parts=3)))
        second = models.load("naive").hash
        assert stub.GetEncoder(embedding_pb2.GetEncoderRequest(name="naive")).encoder.hash == second != first
        assert not models.unload("naive").loaded
