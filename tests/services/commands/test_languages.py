from __future__ import annotations

import pytest

from wordspot.models import espeak
from wordspot.services.commands.languages import LANGUAGES_OF_SCRIPTS, language_hint


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("漢字", "cmn or yue or ja"),
        ("漢字かな", "ja"),
        ("слово", "ru or uk or bg or sr"),
        ("λέξη", "el"),
        ("word 단어", "ko"),
    ],
)
def test_a_script_that_the_default_language_does_not_write_gets_a_hint(text: str, codes: str) -> None:
    assert language_hint(text).endswith(f"it may be {codes}")
    assert "--language" in language_hint(text)


@pytest.mark.parametrize("text", ["word", "café", "42", "", "naïve œuvre", "\x00", "𝒜"])
def test_other_texts_get_none(text: str) -> None:
    assert language_hint(text) == ""


def test_the_synthesiser_knows_every_language_of_a_hint() -> None:
    assert {code for codes in LANGUAGES_OF_SCRIPTS.values() for code in codes} <= set(espeak.languages())
