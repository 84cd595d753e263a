"""How well a typed word, said by a synthesiser, finds it: `python -m tests.bench.typed`.

The archives, keywords and judging of tests/bench/retrieval.py. Each spoken query stands beside the same
keyword typed, judged on the same recordings; the synthesiser says it alone by its first speaker, or by
several as one query, as `wordspot search --say` does. Differences are bootstrapped over keywords, each
against what people said. The rows go to build/bench/typed.json.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from tests.bench import material as development
from tests.bench.material import Material, Query
from tests.bench.metrics import Detections, Judged, average_precision, bootstrap_interval, by_keyword
from tests.bench.retrieval import ask, isolated, present, row, show
from tests.bench.systems import Chance, Exhaustive, Search, index
from wordspot.indexer.records import QueryAudio
from wordspot.indexer.search import dtw
from wordspot.indexer.search.query import trim
from wordspot.indexer.search.settings import SearchSettings
from wordspot.indexer.sound.audio import decode_bytes
from wordspot.indexer.sound.detectors import SileroDetector
from wordspot.indexer.sound.segmentation import SpeechSegmenter
from wordspot.indexer.sound.spans import SpanPlan
from wordspot.services.limits import DEFAULT_SPEAKERS, MAX_SPEAKERS
from wordspot.services.searcher.synthesis import Synthesiser

OUTPUT = Path("build/bench/typed.json")
ENCODERS = ("phonetic", "whisper-tiny.en")
SPEAKERS = (1, 2, DEFAULT_SPEAKERS, MAX_SPEAKERS)
COLUMNS = {
    "method": "method",
    "map": "MAP",
    "ci": "95 %",
    "gain": "over people",
    "gain_ci": "95 %",
    "p10": "P@10",
    "mtwv": "MTWV",
    "atwv": "ATWV",
}


class Once:
    """A system on keywords, asked once for each of them: its answer is the same for all their queries."""

    def __init__(self, answer: Callable[[str], Detections]) -> None:
        self._answer = answer
        self._known: dict[str, Detections] = {}

    def answer(self, query: str) -> Detections:
        if query not in self._known:
            self._known[query] = self._answer(query)
        return self._known[query]


def say(keywords: Iterable[str], language: str) -> tuple[dict[str, list[QueryAudio]], float]:
    """Every keyword by all speakers, as the searcher hears it, and the median seconds that took."""
    segmenter = SpeechSegmenter(SileroDetector(), SpanPlan())
    said, spent = {}, []
    with Synthesiser() as synthesiser:
        for keyword in sorted(set(keywords)):
            begun = time.perf_counter()
            spoken = synthesiser.speak(keyword, language, MAX_SPEAKERS)
            spent.append(time.perf_counter() - begun)
            said[keyword] = [
                trim(decode_bytes(one.data, max_seconds=60), segmenter, one.interval)
                for one in spoken.utterances
            ]
    return said, float(np.median(spent))


def against(people: Sequence[Judged], typed: Sequence[Judged]) -> dict[str, Any]:
    """How much better typed queries are than the same keywords as people said them, in MAP."""
    keywords = [judged.keyword for judged in people]
    one, other = (
        by_keyword(keywords, [average_precision(judged.right, judged.relevant) for judged in all_judged])
        for all_judged in (people, typed)
    )
    gains = {keyword: other[keyword] - one[keyword] for keyword in one}
    interval = bootstrap_interval(gains, np.random.default_rng(0))
    return {"gain": float(np.mean(list(gains.values()))), "gain_ci": {"map": interval}}


def references(
    material: Material, queries: Sequence[Query], said: dict[str, list[QueryAudio]]
) -> list[dict[str, Any]]:
    """Chance, and exhaustive DTW on 39 MFCC."""
    rows = [row("chance", ask(Chance(material, 0), queries, material))]
    dtw.warm_up()
    system = Exhaustive(material, dtw.Steps.FREE)
    people = ask(system, queries, material, isolated)
    typed = ask(Once(lambda keyword: system.answer(said[keyword][0])), queries, material, _keyword)
    rows.append(row("dtw-mfcc, people", people))
    rows.append(row("dtw-mfcc, typed, 1 voice", typed) | against(people.judged, typed.judged))
    return rows


def compared(
    material: Material, queries: Sequence[Query], said: dict[str, list[QueryAudio]], search: Search, name: str
) -> list[dict[str, Any]]:
    """An encoder asked by people and by one, two and more of the synthesiser's voices."""
    people = ask(search, queries, material, isolated)
    rows = [row(f"{name}, people", people)]
    for count in SPEAKERS:
        typed = ask(_together(search, said, count), queries, material, _keyword)
        voices = "1 voice" if count == 1 else f"{count} voices"
        rows.append(row(f"{name}, typed, {voices}", typed) | against(people.judged, typed.judged))
    return rows


def _together(search: Search, said: dict[str, list[QueryAudio]], count: int) -> Once:
    return Once(lambda keyword: search.together(said[keyword][:count]))


def _keyword(query: Query) -> str:
    return query.keyword


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS))
    parser.add_argument("--without-references", action="store_true")
    parser.add_argument("--keywords", type=int, help="only the first so many, to try it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    home = Path(os.environ.get("WORDSPOT_HOME", "~/.wordspot")).expanduser()
    console = Console(width=130)
    encoders = present(arguments.encoders, home, console)
    result: dict[str, Any] = {}
    for title, material, languages, folder in (
        ("English", development.prepare(home), ("en", "en-us"), "{}"),
        ("Czech", development.prepare_czech(home), ("cs",), "{}-czech"),
    ):
        console.print(development.describe(material), highlight=False)
        keywords = sorted({query.keyword for query in material.main})[: arguments.keywords]
        queries = [query for query in material.main if query.keyword in keywords]
        spoken = {language: say(keywords, language) for language in languages}
        rows: list[dict[str, Any]] = []
        if not arguments.without_references:
            rows += references(material, queries, spoken[languages[0]][0])
        for encoder in encoders:
            indexed = index(material, encoder, home / "bench" / folder.format(encoder), home)
            search = Search(indexed, material, SearchSettings())
            for language, (said, _) in spoken.items():
                found = compared(material, queries, said, search, f"{encoder}, {language}")
                rows += found
        show(title, rows, COLUMNS, console)
        seconds = spoken[languages[0]][1]
        console.print(f"{MAX_SPEAKERS} voices say a word in {seconds:.2f} s (median)", highlight=False)
        result[title] = {"rows": rows, "say_s": seconds}
        write(result)  # after each part, so that nothing is lost of a run that is cut short
    console.print(f"written to {OUTPUT}")


def write(result: dict[str, Any]) -> None:
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
