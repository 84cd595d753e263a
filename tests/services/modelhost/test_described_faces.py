"""Faces as they are described, by either protocol of a real server and by the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import grpc
import numpy as np
import pytest
import torch
from PIL import Image

from wordspot import Models
from wordspot.models import artifact
from wordspot.models.artifact import TrainingRecord
from wordspot.models.conditional.text_to_face import TextToFace, TextToFaceConfig
from wordspot.models.gallery.text_to_face import PROMPTS
from wordspot.oip import inference_pb2 as oip
from wordspot.oip import inference_pb2_grpc
from wordspot.services import cli
from wordspot.services.errors import reason_of
from wordspot.services.modelhost import app as modelhost
from wordspot.services.modelhost.repository import load_models
from wordspot.services.runtime import create_server, open_channel
from wordspot.services.settings import ModelHostSettings, ServerSettings
from wordspot.v1 import models_pb2 as pb
from wordspot.v1 import models_pb2_grpc

NAME, SEED, COUNT = "painter", 5, 3
CONFIG = TextToFaceConfig(height=8, width=8, base=4, levels=1, code=9, text=4)
OTHERWISE = {
    "red hair, long hair": ("long hair, red hair", "Long, red hair.", "a face with hair long and red"),
    "black hair, blue eyes": ("blue eyes, black hair", "eyes blue; hair black", "blue-eyed, black-haired"),
    "blue hair, green eyes": ("green eyes and blue hair", "the eyes green, the hair blue"),
}
REFUSED = {
    "a girl with red hair and glasses": "'girl', 'glasses' not known",
    "yellow hair": "yellow hair in 'yellow hair'; of hair black, blonde",
    "red hair, blue hair": "colour of hair 'red' and 'blue'",
    "green": "'green' of what",
    "赤い髪": "not known in '赤い髪'; of hair",
}
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def painter() -> TextToFace:
    torch.manual_seed(0)
    return TextToFace(CONFIG).eval()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, painter: TextToFace) -> Path:
    home = tmp_path_factory.mktemp("home")
    artifact.save(painter, TrainingRecord(NAME), home / "models" / NAME)
    return home


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    settings = ModelHostSettings(home=home, device="cpu")
    with closing(load_models(settings)) as models:
        offered = [modelhost.model_service(models), modelhost.inference_service(models, settings)]
        server, _ = create_server(offered, ServerSettings())
        server.start()
        yield server.address
        server.stop(0)


@pytest.fixture(scope="module")
def channel(address: str) -> Iterator[grpc.Channel]:
    with open_channel(address) as channel:
        yield channel


@pytest.fixture
def run(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.setenv("WORDSPOT_HOME", str(home))
    monkeypatch.delenv("WORDSPOT_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["wordspot", "generate", NAME, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return call


def asked(condition: str) -> oip.ModelInferRequest:
    made = oip.ModelInferRequest(model_name=f"{NAME}:sample")
    for name, datatype, value in (("count", "INT64", COUNT), ("seed", "UINT64", SEED)):
        made.inputs.add(name=name, datatype=datatype, shape=[1])
        made.raw_input_contents.append(value.to_bytes(8, "little"))
    made.parameters["condition"].string_param = condition
    return made


def drawn(painter: TextToFace, condition: str) -> np.ndarray:
    """float32 (COUNT, 3, 8, 8), without a service."""
    with torch.inference_mode():
        made = painter.sample(COUNT, torch.Generator().manual_seed(SEED), condition=condition)
    return np.asarray(made)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_lecture_s_prompts_are_drawn_however_they_are_said(
    painter: TextToFace, address: str, channel: grpc.Channel, prompt: str
) -> None:
    wanted = drawn(painter, prompt)
    inference = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
    with Models(address) as models:
        for said in (prompt, *OTHERWISE[prompt]):
            pixels = models.sample(NAME, COUNT, SEED, condition=said)
            assert pixels.shape == (COUNT, 8, 8, 3)
            assert np.abs(pixels / 255 - wanted.transpose(0, 2, 3, 1)).max() < 0.51 / 255, said
            answer = inference.ModelInfer(asked(said))
            floats = np.frombuffer(answer.raw_output_contents[0], np.float32)
            np.testing.assert_allclose(floats.reshape(answer.outputs[0].shape), wanted, atol=1e-6)
        walk = np.stack([*models.generate(NAME, 4, SEED, condition=prompt)])
    assert walk.shape == (4, 8, 8, 3)
    assert len({drawn(painter, one).tobytes() for one in PROMPTS}) == len(PROMPTS)


@pytest.mark.parametrize("text", REFUSED)
def test_what_no_face_can_show_is_said_by_either_protocol(channel: grpc.Channel, text: str) -> None:
    models = models_pb2_grpc.ModelServiceStub(channel)
    inference = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
    for ask in (
        lambda: models.Sample(pb.SampleRequest(model=NAME, count=1, condition=text)),
        lambda: list(models.Generate(pb.GenerateRequest(model=NAME, count=1, condition=text))),
        lambda: inference.ModelInfer(asked(text)),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            ask()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(caught.value) == "BAD_INPUT"
        assert REFUSED[text] in caught.value.details()


def test_one_command_draws_a_sheet_of_what_is_described(run: Run, address: str, tmp_path: Path) -> None:
    sheets = []
    for place in ((), ("--address", address)):
        for said in (PROMPTS[0], *OTHERWISE[PROMPTS[0]]):
            assert run("--condition", said, "--out", "sheet.png", "--n", 12, *place) == (0, "")
            sheets.append((tmp_path / "sheet.png").read_bytes())
    assert len(set(sheets)) == 1
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > sheet.height
    (tmp_path / "told.txt").write_text(PROMPTS[0])
    assert run("--condition-file", "told.txt", "--out", "sheet.png", "--n", 12) == (0, "")
    assert (tmp_path / "sheet.png").read_bytes() == sheets[0]
    for place in ((), ("--address", address)):
        for text, told in REFUSED.items():
            code, errors = run("--condition", text, "--out", "refused.png", *place)
            assert (code, errors.count("\n")) == (2, 1)
            assert told in errors
    assert not (tmp_path / "refused.png").exists()
