from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from wordspot.indexer.sound.audio import write_wav


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_the_same_word_by_two_speakers_lies_closer_than_another(served: Any, say: Any) -> None:
    words = [say(word, pause=0.05, voice=voice) for word, voice in (("tea", 1), ("tea", 2), ("milk", 1))]
    sounds = [encoded(write_wav(word)) for word in words]
    vectors = np.asarray(served.ask("POST", "/models/bands/embed", {"sounds": sounds})["vectors"])
    assert vectors.shape == (3, served.services.encoder.dimension)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    near, far, _ = (vectors @ vectors.T)[np.triu_indices(3, 1)]
    assert near > far


@pytest.mark.parametrize(
    ("sound", "told"),
    [
        ("%%%", "sounds[0] must be a WAV file in base64"),
        (encoded(b"RIFF"), "sounds[0] must be a WAV file in base64"),
        (
            encoded(write_wav(np.zeros(8_000, np.float32), 8_000)),
            "at 16,000 Hz, got 1 channels with 16 bits at 8,000 Hz",
        ),
        (encoded(write_wav(np.zeros(1, np.float32))), "must last between 0.01 and 10 s"),
    ],
)
def test_what_is_no_sound_of_that_kind_is_refused_by_its_number(served: Any, sound: str, told: str) -> None:
    problem = served.refuse(422, "POST", "/models/bands/embed", {"sounds": [sound]})
    assert problem["field"] == "sounds[0]"
    assert told in problem["detail"]


def test_an_encoder_that_is_not_there_is_not_found(served: Any, say: Any) -> None:
    sounds = [encoded(write_wav(say("tea")))]
    served.refuse(404, "POST", "/models/none/embed", {"sounds": sounds})
