from __future__ import annotations

from pathlib import Path

import pytest

from wordspot.indexer.errors import InvalidInput
from wordspot.models import teaching
from wordspot.models.errors import MissingWeights
from wordspot.models.train import RECIPES
from wordspot.services.commands.train import TAUGHT, Trainable, train


def test_the_command_line_offers_every_recipe() -> None:
    assert {member.value for member in Trainable} == {*RECIPES, *teaching.RECIPES, "semantic"}


def test_those_that_learn_from_data_sets_take_no_folder() -> None:
    assert {member.value for member in TAUGHT} == set(teaching.RECIPES)


def test_weights_are_chosen_for_whisper_only_and_among_the_known(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--weights base goes with whisper, not with phonetic"):
        train(Trainable.phonetic, weights="base", out=tmp_path)
    with pytest.raises(
        MissingWeights, match=r"no Whisper weights 'huge' are known; there are base, tiny\.en"
    ):
        train(Trainable.whisper, weights="huge", out=tmp_path, device="cpu")
    assert list(tmp_path.iterdir()) == []
