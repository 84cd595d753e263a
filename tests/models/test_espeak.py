from __future__ import annotations

import numpy as np
import pytest

from wordspot.models.errors import SynthesisError
from wordspot.models.espeak import Espeak, Voice

pytest.importorskip("espeakng_loader")


def test_a_word_ends_where_the_pause_behind_it_begins() -> None:
    spoken = Espeak().speak("A frog, sitting.", "en-us", Voice("m1", 50, 150))
    (_, _, _), (frog, _, end), (sitting, start, _) = spoken.words
    assert (frog, sitting) == ("frog", "sitting")
    assert start - end > 0.1
    pause = spoken.samples[int((end + 0.03) * spoken.rate) : int((start - 0.03) * spoken.rate)]
    assert np.abs(pause).max() < 0.1 * np.abs(spoken.samples).max()


def test_words_that_are_spoken_as_one_are_one() -> None:
    spoken = Espeak().speak("The man of the house.", "en-us", Voice("f3", 50, 150))
    assert [word for word, _, _ in spoken.words] == ["the", "man", "of the", "house"]


def test_a_text_without_words_yields_none() -> None:
    assert Espeak().speak(" ", "en-us", Voice("m1", 50, 150)).words == ()


def test_an_unknown_voice_is_named() -> None:
    with pytest.raises(SynthesisError, match=r"no voice 'xx\+m1'"):
        Espeak().speak("a", "xx", Voice("m1", 50, 150))
