from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from wordspot.models.datasets import spectra, states
from wordspot.models.datasets.speech import Clip
from wordspot.models.datasets.states import States
from wordspot.models.encoders.contrastive import Contrastive
from wordspot.models.encoders.convolutional import ConvolutionalConfig
from wordspot.models.training import word_recipes


def clip(name: str, speaker: str | None, path: Path = Path("x.flac"), seconds: float = 2.0) -> Clip:
    return Clip(f"queen/{name}", "queen", speaker, "en", "cutscene 3", path, seconds, None)


CLIPS = [clip("A", "JOE"), clip("B", None)]
WORDS = {
    "queen/A": (("at", 0.0, 0.3), ("gorilla", 0.5, 1.0), ("late", 1.1, 1.2)),
    "queen/B": (("gorilla", 0.01, 0.61), ("once", 0.7, 1.2), ("beyond", 1.5, 2.1)),
}


def heard(*lengths: int) -> States:
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    return States(np.zeros((sum(lengths), 2), np.float16), bounds, tuple(one.id for one in CLIPS))


def test_words_in_context_are_long_enough_inside_their_clip_and_in_frames() -> None:
    tokens = word_recipes.words_in_context(CLIPS, heard(100, 100), WORDS)
    assert set(tokens) == {"gorilla", "once"}
    first, second = tokens["gorilla"]
    assert (first.cut, first.start, first.stop, first.speaker) == (0, 25.0, 50.0, "JOE")
    assert (second.cut, second.speaker, second.place) == (1, "cutscene 3", "queen/B#0")


def test_isolated_words_are_cut_with_a_margin_and_known_where_they_lie() -> None:
    cuts, tokens = word_recipes.isolated_words(CLIPS, WORDS)
    assert set(tokens) == {"gorilla"}  # every other word is too short or said once only
    for token in tokens["gorilla"]:
        cut = cuts[token.cut]
        name, number = token.place.split("#")
        _, start, end = WORDS[name][int(number)]
        assert cut.name == token.place
        assert 0 <= start - cut.start <= word_recipes.CUT_MARGIN_SECONDS
        assert cut.start + token.start / 50 == pytest.approx(start)
        assert cut.start + token.stop / 50 == pytest.approx(end)
        assert end <= cut.start + (cut.seconds or 0.0) <= end + word_recipes.CUT_MARGIN_SECONDS


def test_no_word_is_cut_out_more_often_than_allowed_and_the_choice_is_the_same_every_time() -> None:
    many = [clip(str(number), "JOE") for number in range(40)]
    words = {one.id: (("gorilla", 0.5, 1.0),) for one in many}
    cuts, tokens = word_recipes.isolated_words(many, words)
    assert len(tokens["gorilla"]) == len(cuts) == word_recipes.MAX_CUTS_A_WORD
    assert states.fingerprint(cuts) == states.fingerprint(word_recipes.isolated_words(many, words)[0])


def test_synthetic_words_of_two_languages_are_two_words() -> None:
    some = [
        Clip(f"synthetic/{language}", "synthetic", "m1", language, "g", Path("x"), 1.0, None)
        for language in ("en", "fr")
    ]
    table = {one.id: (("table", 0.1, 0.5),) for one in some}
    lengths = States(np.zeros((100, 2), np.float16), np.array([0, 50, 100]), tuple(one.id for one in some))
    assert set(word_recipes.synthetic_words(some, lengths, table)) == {"en table", "fr table"}


def test_what_a_teacher_hears_lies_beside_the_spectra_of_the_same_clips(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Contrastive(ConvolutionalConfig(width=16, dilations=(1,), frame_dimension=8, dimension=6)).eval()
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.flac" for number in range(3)]
    for number, path in enumerate(paths):
        soundfile.write(path, rng.standard_normal(16_000 + 3_000 * number) / 10, 16_000)
    files = [(path.stem, path) for path in paths]
    hear = word_recipes.teacher_of(model)
    whole = spectra.of_files(files, hear)
    parts = word_recipes.joined([spectra.of_files(files[:1], hear), spectra.of_files(files[1:], hear)])
    assert parts.names == whole.names
    assert parts.sha256 == whole.sha256
    assert np.array_equal(parts.spectra, whole.spectra)
    assert whole.targets is not None
    assert parts.targets is not None
    assert whole.targets.shape == (len(whole.spectra) // 2, 8)
    np.testing.assert_allclose(parts.targets, whole.targets, atol=2e-3)
