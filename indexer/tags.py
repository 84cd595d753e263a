"""Tags: what the owner of a recording says of it, such as where it was made and who speaks.

Two keys have a meaning: `speaker`, and `date`, which is a year, a month or a day.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.limits import MAX_TAG_KEY_CHARACTERS, MAX_TAG_VALUE_CHARACTERS, MAX_TAGS

DATE, SPEAKER = "date", "speaker"

_KEY = re.compile(rf"[a-z][a-z0-9_-]{{0,{MAX_TAG_KEY_CHARACTERS - 1}}}")
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
_UNSTORABLE = ("Cc", "Cs")  # control characters and surrogates


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Returns the tags with their values as they are stored. Raises InvalidInput."""
    checked = {checked_key(key): checked_value(key, value) for key, value in tags.items()}
    check_count(len(checked))
    return checked


def check_count(count: int) -> None:
    """Raises InvalidInput for more tags than a recording may have."""
    if count > MAX_TAGS:
        raise InvalidInput(f"a recording must have at most {MAX_TAGS} tags, got {count}")


def checked_key(key: str) -> str:
    """Returns the key. Raises InvalidInput."""
    if not _KEY.fullmatch(key):
        raise InvalidInput(
            f"the key of a tag must be a letter a to z, then letters, digits, - and _, at most "
            f"{MAX_TAG_KEY_CHARACTERS} characters, got {_shown(key)}"
        )
    return key


def checked_value(key: str, value: str) -> str:
    """Returns the value of a tag without spaces around it, in Unicode's composed form (NFC), so that equal
    values are equal. Raises InvalidInput."""
    stored = unicodedata.normalize("NFC", value).strip()
    if not 1 <= len(stored) <= MAX_TAG_VALUE_CHARACTERS:
        raise InvalidInput(
            f"the value of tag {key!r} must have 1 to {MAX_TAG_VALUE_CHARACTERS} characters, "
            f"got {len(stored)}"
        )
    if any(unicodedata.category(character) in _UNSTORABLE for character in stored):
        raise InvalidInput(f"the value of tag {key!r} must be text of one line, got {_shown(stored)}")
    if key == DATE:
        days_of(stored)
    return stored


def days_of(text: str, what: str = "the tag 'date'") -> tuple[date, date]:
    """Returns the first and the last day of a year, a month or a day. what: for errors.

    Raises InvalidInput.
    """
    if match := _DATE.fullmatch(text):
        year, month, day = (None if part is None else int(part) for part in match.groups())
        try:
            first = date(year or 0, month or 1, day or 1)
            return first, first if day else _last_day(first, whole_year=month is None)
        except ValueError:
            pass
    raise InvalidInput(f"{what} must be YYYY, YYYY-MM or YYYY-MM-DD, got {_shown(text)}")


def _last_day(first: date, *, whole_year: bool) -> date:
    if whole_year or first.month == 12:
        return date(first.year, 12, 31)
    return date.fromordinal(first.replace(month=first.month + 1).toordinal() - 1)


def _shown(text: str) -> str:
    return repr(text if len(text) <= MAX_TAG_KEY_CHARACTERS else f"{text[:MAX_TAG_KEY_CHARACTERS]}...")
