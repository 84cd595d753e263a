"""Which languages a typed text may be in, by its script."""

from __future__ import annotations

import unicodedata

from wordspot.services.examples import TypedQuery

# Codes of espeak-ng by the first word of a letter's name in Unicode.
LANGUAGES_OF_SCRIPTS = {
    "CJK": ("cmn", "yue", "ja"),
    "HIRAGANA": ("ja",),
    "KATAKANA": ("ja",),
    "BOPOMOFO": ("cmn",),
    "HANGUL": ("ko",),
    "CYRILLIC": ("ru", "uk", "bg", "sr"),
    "GREEK": ("el",),
    "ARABIC": ("ar", "fa", "ur"),
    "HEBREW": ("he",),
    "DEVANAGARI": ("hi", "mr", "ne"),
    "BENGALI": ("bn", "as"),
    "GURMUKHI": ("pa",),
    "GUJARATI": ("gu",),
    "ORIYA": ("or",),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
    "KANNADA": ("kn",),
    "MALAYALAM": ("ml",),
    "SINHALA": ("si",),
    "THAI": ("th",),
    "MYANMAR": ("my",),
    "ETHIOPIC": ("am", "ti"),
    "ARMENIAN": ("hy",),
    "GEORGIAN": ("ka",),
    "CHEROKEE": ("chr",),
}


def language_hint(text: str) -> str:
    """Returns what to say of a text that is to be spoken in the default language though its script is that of
    others; "" where it is not."""
    scripts = (unicodedata.name(letter, "").partition(" ")[0] for letter in text if letter.isalpha())
    languages = {script: LANGUAGES_OF_SCRIPTS[script] for script in scripts if script in LANGUAGES_OF_SCRIPTS}
    if not languages:
        return ""
    # Kana tell Japanese from Chinese.
    codes = min(languages.values(), key=len)
    return (
        f"{text!r} is spoken as {TypedQuery.language!r}, for want of --language: "
        f"for its script it may be {' or '.join(codes)}"
    )
