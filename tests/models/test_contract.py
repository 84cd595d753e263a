"""What every model of pictures promises, held against a small fresh one of each class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from wordspot.models import artifact, recipe, registry
from wordspot.models.artifact import TrainingRecord
from wordspot.models.conditional.face_attributes import FaceAttributesConfig
from wordspot.models.conditional.text_to_face import TextToFaceConfig
from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.encoders.cnn import CnnConfig
from wordspot.models.encoders.deep_autoencoder import DeepAutoencoderConfig
from wordspot.models.encoders.mlp import MlpConfig
from wordspot.models.encoders.row_rnn import RowRnnConfig
from wordspot.models.generators.bi_gan import BiGanConfig
from wordspot.models.generators.conditional_gan import ClassesConfig
from wordspot.models.generators.cycle_gan import CycleGanConfig
from wordspot.models.generators.discrete_gan import DiscreteGanConfig
from wordspot.models.generators.gan import GanConfig
from wordspot.models.generators.info_gan import InfoGanConfig
from wordspot.models.generators.pixel_cnn import PixelCnnConfig
from wordspot.models.generators.pixel_rnn import PixelRnnConfig
from wordspot.models.generators.semi_supervised_gan import SemiSupervisedGanConfig
from wordspot.models.generators.unrolled_gan import UnrolledGanConfig
from wordspot.models.generators.vae import VaeConfig
from wordspot.models.generators.vae_gan import VaeGanConfig
from wordspot.models.model import Model
from wordspot.models.trainer import Plan, fit

SIZE = {"height": 8, "width": 12, "channels": 2}
SLIM = {"base": 4, "levels": 1, "code": 5}
COLOURS = {"hair": ("black", "red"), "eyes": ("red", "blue")}
SMALL: dict[str, Any] = {
    "mlp": MlpConfig(**SIZE, classes=3, hidden=(24, 16)),
    "cnn": CnnConfig(**SIZE, classes=3, widths=(4, 6), hidden=16),
    "row_rnn": RowRnnConfig(**SIZE, classes=3, hidden=16),
    "deep_autoencoder": DeepAutoencoderConfig(**SIZE, hidden=(24, 16), code=5),
    "vae": VaeConfig(**SIZE, hidden=(24, 16), code=5),
    "pixel_rnn": PixelRnnConfig(**SIZE, colours=4, cells=24, embedding=8, varied=False),
    "pixel_cnn": PixelCnnConfig(**SIZE, layers=2, features=8, kernel=3),
    "gan": GanConfig(**SIZE, **SLIM),
    "conditional_gan": ClassesConfig(**SIZE, **SLIM, classes=3),
    "info_gan": InfoGanConfig(**SIZE, **SLIM, classes=3, numbers=1),
    "bi_gan": BiGanConfig(**SIZE, **SLIM),
    "vae_gan": VaeGanConfig(**SIZE, **SLIM),
    "unrolled_gan": UnrolledGanConfig(**SIZE, **SLIM, ahead=2),
    "discrete_gan": DiscreteGanConfig(**SIZE, **SLIM, tries=3),
    "cycle_gan": CycleGanConfig(**SIZE, **SLIM),
    "semi_supervised_gan": SemiSupervisedGanConfig(
        **SIZE, **SLIM, classes=3, labelled=2, hidden=(24, 16), noise=(0.1, 0.1)
    ),
    "text_to_face": TextToFaceConfig(**SIZE, **SLIM, text=3, **COLOURS),
    "face_attributes": FaceAttributesConfig(**SIZE, **COLOURS, widths=(4, 6), hidden=16),
}
SHAPE = (2, 8, 12)
KNOWN = torch.arange(SHAPE[1])[None, :, None].expand(1, *SHAPE[1:]) < SHAPE[1] // 2  # the upper half


@pytest.fixture(params=SMALL)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(name: str) -> Model[Any]:
    torch.manual_seed(2)
    return registry.model_class(name)(SMALL[name]).eval()


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some(count: int, seed: int = 0) -> Tensor:
    return torch.rand((count, *SHAPE), generator=rng(seed))


class Bars:
    """Pictures of one of three kinds, each with a bright bar at a place of its own."""

    def batch(self, step: int) -> PictureBatch:
        labels = torch.randint(0, 3, (32,), generator=rng(step))
        pictures = 0.1 * some(32, step)
        for row, label in enumerate(labels.tolist()):
            pictures[row, :, :, 4 * label : 4 * label + 3] += 0.8
        return PictureBatch(pictures, labels)

    def validation(self) -> list[PictureBatch]:
        return [self.batch(10_000)]


def outputs(model: Model[Any], seed: int = 3) -> dict[str, Tensor]:
    """What each capability makes of the same pictures."""
    given = some(6)
    found = {}
    if "encode" in model.capabilities:
        found["encode"] = model.encode(given)
    if "decode" in model.capabilities:
        found["decode"] = model.decode(torch.rand((6, model.config.code), generator=rng(seed)))
    if "reconstruct" in model.capabilities:
        found["reconstruct"] = model.reconstruct(given)
    if "classify" in model.capabilities:
        found["classify"] = model.classify(given)
    if "translate" in model.capabilities:
        found["translate"] = model.translate(given)
    if "sample" in model.capabilities:
        found["sample"] = model.sample(6, rng(seed))
    if "nll" in model.capabilities:
        found["nll"] = model.nll(given, rng(seed))
    if "complete" in model.capabilities:
        found["complete"] = model.complete(given, KNOWN.expand(6, 1, *SHAPE[1:]), rng(seed))
    if "generate" in model.capabilities:
        found["generate"] = torch.stack(list(model.generate(6, rng(seed))))
    return found


@torch.inference_mode()
def test_outputs_have_the_shapes_and_ranges_of_the_contract(model: Model[Any]) -> None:
    for capability, values in outputs(model).items():
        assert len(values) == 6
        assert torch.isfinite(values).all()
        if capability in ("decode", "reconstruct", "translate", "sample", "complete", "generate"):
            assert values.shape == (6, *SHAPE)
            assert 0 <= float(values.min()) <= float(values.max()) <= 1
        if capability == "classify":
            torch.testing.assert_close(values.sum(dim=1), torch.ones(6))
            assert values.shape == (6, model.config.classes + 1)
        if capability == "nll":
            assert values.shape == (6,)
        if capability == "complete":
            hidden = (values != some(6)) & KNOWN
            assert not hidden.any()


@torch.inference_mode()
def test_the_same_seed_gives_the_same_bytes_whatever_was_drawn_before(model: Model[Any]) -> None:
    first = outputs(model)
    torch.rand(100)
    second = outputs(model)
    for capability in first:
        assert torch.equal(first[capability], second[capability]), capability
    if "sample" in model.capabilities:
        assert not torch.equal(first["sample"], model.sample(6, rng(4)))


@torch.inference_mode()
def test_other_examples_in_the_batch_change_nothing(model: Model[Any]) -> None:
    given = some(6)
    for capability in ("encode", "reconstruct", "classify", "translate"):
        if capability in model.capabilities:
            function = getattr(model, capability)
            torch.testing.assert_close(function(given)[2:3], function(given[2:3]), atol=1e-5, rtol=1e-4)


def test_training_betters_what_validation_goes_by(model: Model[Any], tmp_path: Path) -> None:
    data = Bars()
    model.prepare(data)
    with torch.no_grad():
        before = float(model.quality(data.validation()[0], rng()))
    one = len(model.players()) == 1
    plan = Plan(steps=60, learning_rate=3e-3, warm_up=5, validate_every=20)
    against = replace(plan, steps=80, betas=(0.5, 0.99), clip_norm=100.0)
    assert fit(model, data, plan if one else against, tmp_path).best < 0.9 * before


def test_saved_and_loaded_it_is_the_same_model(name: str, model: Model[Any], tmp_path: Path) -> None:
    card = artifact.save(model, TrainingRecord("one"), tmp_path)
    again, read = registry.load(str(tmp_path))
    assert (read.hash, read.name, read.model) == (card.hash, "one", name)
    assert again.config == model.config
    assert read.modality == "picture"
    assert set(read.capabilities) == set(model.capabilities)
    with torch.inference_mode():
        for capability, values in outputs(model).items():
            assert torch.equal(values, outputs(again)[capability]), capability


def test_every_class_of_pictures_is_held_to_the_contract() -> None:
    registry.load_classes()
    known = {one.model for one in recipe.RECIPES.values() if isinstance(one, recipe.PictureRecipe)}
    assert known == set(SMALL)


def test_two_recipes_of_one_name_are_refused() -> None:
    registry.load_classes()
    one = recipe.RECIPES["digits-vae"]
    with pytest.raises(ValueError, match="digits-vae"):
        recipe.recipe(replace(one, batch_size=1))
