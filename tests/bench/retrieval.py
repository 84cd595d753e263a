"""How well and how fast a spoken query is answered: `make bench-retrieval`.

Prepares the development archive and its queries from packages (cached below WORDSPOT_HOME), indexes it with
every lecture encoder, asks every query of every system and prints one table; the same rows go to
build/bench/retrieval.json. The main table has no speaker in both query and archive, nor has that of the Czech
archive. A recogniser and a search in its text stand beside: see tests/bench/recogniser.py.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from tests.bench import material as development
from tests.bench.edges import EDGES, Edge, surround
from tests.bench.material import NOISE_KINDS, SNRS_DB, Material, Query
from tests.bench.metrics import (
    Detections,
    Judged,
    false_alarms_per_hour,
    judge,
    keyword_mean,
    match,
    recall_at,
    summarise,
)
from tests.bench.recogniser import TextSearch, Transcriber
from tests.bench.systems import (
    Chance,
    Exhaustive,
    Indexed,
    Remembering,
    Search,
    SpeedPerturbed,
    System,
    TrueWords,
    index,
)
from wordspot.indexer.records import TICKS_PER_SECOND, QueryAudio, Samples, Segmenter
from wordspot.indexer.search import dtw
from wordspot.indexer.search.query import trim
from wordspot.indexer.search.settings import MAX_CANDIDATES, SearchSettings
from wordspot.indexer.sound.detectors import SileroDetector
from wordspot.indexer.sound.segmentation import SpeechSegmenter
from wordspot.indexer.sound.spans import SpanPlan
from wordspot.models import registry
from wordspot.models.encoders import whisper_weights
from wordspot.models.errors import MissingWeights

OUTPUT = Path("build/bench/retrieval.json")
ENCODERS = ("naive", "filterbank", "sa", "dsa", "phonetic", "wordspot", "whisper-tiny.en", "whisper")
HEARD_CZECH = frozenset({"sa", "dsa"})
ROW_NAMES = {"naive": "ne", "sa": "sa", "dsa": "dsa"}
CONTEXT_SECONDS = 5.0
DEEP = 4_000
SPEED_VARIANTS = 9
EDGE_COLUMNS = {"method": "method", **{edge: edge for edge in EDGES}, "worst": "worst"}
COLUMNS = {
    "method": "method",
    "map": "MAP",
    "ci": "95 %",
    "map_file": "file MAP",
    "p10": "P@10",
    "pn": "P@N",
    "mtwv": "MTWV",
    "atwv": "ATWV",
    "recall1000": "R@1000",
    "recall1000_accepted": "of accepted",
    "query_s": "s/query",
    "index_x_realtime": "x real",
    "mb_per_hour": "MB/h",
}


@dataclass(frozen=True)
class Answers:
    judged: list[Judged]
    recall1000: float | None
    median_seconds: float


def isolated(query: Query) -> QueryAudio:
    """The word alone, as it was cut out, in which the product's own end-pointing finds it."""
    return trim(development.read(query.cut), query_segmenter())


@cache
def query_segmenter() -> Segmenter:
    return SpeechSegmenter(SileroDetector(), SpanPlan())


def in_context(query: Query) -> QueryAudio:
    """The word marked inside its recording."""
    begin = max(0.0, query.start - CONTEXT_SECONDS)
    samples = development.read(query.path, begin, query.end + CONTEXT_SECONDS)
    ticks = [round((at - begin) * TICKS_PER_SECOND) for at in (query.start, query.end)]
    return QueryAudio(samples, ticks[0], min(ticks[1], len(samples) * TICKS_PER_SECOND // development.RATE))


def ask(
    system: System[Any],
    queries: Sequence[Query],
    material: Material,
    pose: Callable[[Query], Any] = isolated,
    *,
    with_recall: bool = False,
) -> Answers:
    """Judges a system on queries; seconds are the median of answering one.

    pose: what the system is asked with, by default the audio of the word alone.
    """
    judged, recalls, spent = [], [], []
    for query in queries:
        asked = pose(query)
        begun = time.perf_counter()
        answer = system.answer(asked)
        spent.append(time.perf_counter() - begun)
        excluded = [material.ordinals[name] for name in query.excluded]
        ranked: Detections = answer.without(excluded)
        truth = material.truth(query)
        judged.append(judge(query.keyword, ranked, truth, material.searched_seconds(query)))
        if with_recall:
            recalls.append(recall_at(ranked.places, truth, 1_000))
    recall = keyword_mean([q.keyword for q in queries], recalls) if with_recall else None
    return Answers(judged, recall, float(np.median(spent)))


def row(method: str, answers: Answers, indexed: Indexed | None = None, **more: Any) -> dict[str, Any]:
    summary = summarise(answers.judged, seed=0)
    return {
        "method": method,
        "map": summary.map,
        "map_file": summary.file_map,
        "p10": summary.p10,
        "pn": summary.pn,
        "mtwv": summary.mtwv,
        "mtwv_threshold": summary.mtwv_threshold if np.isfinite(summary.mtwv_threshold) else None,
        "atwv": summary.atwv,
        "recall1000": answers.recall1000,
        "query_s": answers.median_seconds,
        "index_x_realtime": indexed.times_real if indexed else None,
        "mb_per_hour": indexed.megabytes_per_hour if indexed else None,
        "ci": summary.intervals,
        "queries": summary.queries,
        "keywords": summary.keywords,
        **more,
    }


def edge_rows(
    material: Material,
    queries: Sequence[Query],
    systems: dict[str, System[QueryAudio]],
    segmenter: Segmenter,
) -> list[dict[str, Any]]:
    """MAP of each system for the same queries with whatever stands around them, as the product finds them.

    worst: by how much the row that differs most differs from the query cut closely.
    """
    posed = {edge: {query.id: surrounded(query, edge, segmenter) for query in queries} for edge in EDGES}
    rows = []
    for name, system in systems.items():
        remembering = Remembering(system)  # silence is left out, so most of these sounds are the same
        answers = {
            edge: ask(remembering, queries, material, lambda query, known=known: known[query.id])
            for edge, known in posed.items()
        }
        by_edge = {edge: summarise(answer.judged, seed=0).map for edge, answer in answers.items()}
        worst = max((value - by_edge["cut"] for value in by_edge.values()), key=abs)
        rows.append({"method": name, **by_edge, "worst": worst})
    return rows


def surrounded(query: Query, edge: Edge, segmenter: Segmenter) -> QueryAudio:
    """The word with what stands around it, in which the product's own end-pointing finds it."""
    samples, _ = surround(development.read(query.cut), edge, query.id)
    return trim(samples, segmenter)


def references(material: Material, queries: Sequence[Query]) -> list[dict[str, Any]]:
    """Chance, and exhaustive DTW in both step sets."""
    rows = [row("chance", ask(Chance(material, 0), queries, material))]
    dtw.warm_up()
    for steps, name in ((dtw.Steps.FREE, "dtw-mfcc"), (dtw.Steps.SLOPE, "dtw-mfcc-slope")):
        system = Exhaustive(material, steps)
        rows.append(row(name, ask(system, queries, material)))
    return rows


def indexed_rows(
    material: Material, queries: Sequence[Query], indexed: Indexed, name: str
) -> list[dict[str, Any]]:
    first = Search(indexed, material, replace(SearchSettings(), rerank=False))
    second = Search(indexed, material, SearchSettings())
    second.answer(isolated(queries[0]))
    alone = ask(first, queries, material, with_recall=True)
    both = ask(second, queries, material)
    recall = {
        "recall1000": alone.recall1000,
        "recall1000_accepted": accepted_recall(first, material, queries, indexed),
    }
    rows = [row(name, alone, indexed), {**row(f"{name}+dtw", both, indexed), **recall}]
    deep = Search(indexed, material, replace(SearchSettings(), candidates=DEEP))
    rows.append({**row(f"{name}+dtw, {DEEP:,} candidates", ask(deep, queries, material), indexed), **recall})
    variants = ask(SpeedPerturbed(second, SPEED_VARIANTS), queries, material)
    rows.append({**row(f"{name}+dtw, {SPEED_VARIANTS} voices", variants, indexed), **recall})
    context = ask(second, queries, material, in_context)
    rows.append({**row(f"{name}+dtw in context", context, indexed), **recall})
    return rows


def accepted_recall(
    first: System[QueryAudio], material: Material, queries: Sequence[Query], indexed: Indexed
) -> float | None:
    """Share of the occurrences that are detected when everything is re-ranked, which are among the first
    stage's first 1,000; None where nothing is detected. Queries of which none is detected do not count."""
    everything = Search(indexed, material, replace(SearchSettings(), candidates=MAX_CANDIDATES))
    keywords, recalls = [], []
    for query in queries:
        asked, truth = isolated(query), material.truth(query)
        excluded = [material.ordinals[name] for name in query.excluded]
        ranked = everything.answer(asked).without(excluded)
        taken = match(ranked.places[ranked.detected], truth)
        accepted = np.unique(taken[taken >= 0])
        if len(accepted):
            candidates = first.answer(asked).without(excluded).places
            keywords.append(query.keyword)
            recalls.append(recall_at(candidates, truth[accepted], 1_000))
    return keyword_mean(keywords, recalls) if recalls else None


def recogniser_rows(
    material: Material, queries: Sequence[Query], transcriber: Transcriber
) -> list[dict[str, Any]]:
    """A recogniser's transcript searched for what it hears in the query, and for the keyword as typed."""
    search = TextSearch(
        material, transcriber.transcribe([recording.path for recording in material.recordings])
    )
    cuts = transcriber.transcribe([query.cut for query in queries])
    heard = {query.id: transcript for query, transcript in zip(queries, cuts, strict=True)}
    costs: dict[str, Any] = {"index_x_realtime": search.times_real, "mb_per_hour": search.megabytes_per_hour}
    spoken = ask(search, queries, material, lambda query: heard[query.id].text, with_recall=True)
    typed = ask(search, queries, material, lambda query: query.keyword, with_recall=True)
    hearing_s = float(np.median([transcript.processor_s for transcript in heard.values()]))
    return [
        row("whisper tiny.en, spoken", spoken, **costs, query_s=hearing_s + spoken.median_seconds),
        row("whisper tiny.en, typed", typed, **costs),
    ]


def czech_rows(material: Material, encoders: Iterable[str], home: Path) -> list[dict[str, Any]]:
    rows = references(material, material.main)
    for encoder in encoders:
        indexed = index(material, encoder, home / "bench" / f"{encoder}-czech", home)
        rows += indexed_rows(material, material.main, indexed, ROW_NAMES.get(encoder, encoder))
    return rows


def noisy_rows(
    material: Material, queries: Sequence[Query], systems: dict[str, System[QueryAudio]]
) -> list[dict[str, Any]]:
    """MAP of each system for the same queries under noise, averaged over the kinds of noise."""
    talkers = development.load_talkers(material)
    rows = []
    for decibels in SNRS_DB:
        for name, system in systems.items():
            answers = [
                ask(system, queries, material, _with_noise(kind, decibels, talkers)) for kind in NOISE_KINDS
            ]
            pooled = [judged for answer in answers for judged in answer.judged]
            summary = summarise(pooled, seed=0)
            by_kind = {
                kind: summarise(answer.judged, seed=0).map
                for kind, answer in zip(NOISE_KINDS, answers, strict=True)
            }
            rows.append(
                {
                    "method": name,
                    "snr_db": decibels,
                    "map": summary.map,
                    "ci": summary.intervals,
                    **by_kind,
                }
            )
    return rows


def _with_noise(kind: Any, decibels: float, talkers: Sequence[Samples]) -> Callable[[Query], QueryAudio]:
    def spoken(query: Query) -> QueryAudio:
        clean = isolated(query)
        samples = development.noisy(query, clean.samples, kind, decibels, talkers)
        return replace(clean, samples=samples)

    return spoken


def false_alarms(material: Material, system: System[QueryAudio]) -> tuple[float, float]:
    """Mean and median over words that were never said."""
    return false_alarms_per_hour(ask(system, material.absent, material).judged)


def show(title: str, rows: Iterable[dict[str, Any]], columns: dict[str, str], console: Console) -> None:
    """columns: heading by key of a row."""
    table = Table(title=title, title_justify="left")
    for key, heading in columns.items():
        table.add_column(heading, justify="left" if key == "method" else "right", no_wrap=True)
    for entry in rows:
        table.add_row(*(_cell(entry.get(key)) for key in columns))
    console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):  # intervals, of which that of MAP has room
        return "-".join(f"{bound:.3f}" for bound in value["map"])
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 1 else f"{value:.1f}"
    return str(value)


def present(encoders: Iterable[str], home: Path, console: Console) -> list[str]:
    """Those that can run here; says why one cannot."""
    found = []
    known = registry.available(home)
    for encoder in encoders:
        try:
            if encoder in known and known[encoder].model == "whisper":
                whisper_weights.find(known[encoder].config["weights"])
        except MissingWeights as error:
            console.print(f"{encoder} is left out: {error}", highlight=False)
            continue
        found.append(encoder)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS))
    parser.add_argument("--without-noise", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    home = Path(os.environ.get("WORDSPOT_HOME", "~/.wordspot")).expanduser()
    console = Console(width=190)
    material = development.prepare(home)
    console.print(development.describe(material), highlight=False)
    encoders = present(arguments.encoders, home, console)

    rows = references(material, material.main)
    rows += recogniser_rows(material, material.main, Transcriber(home))
    same = [row("dtw-mfcc", ask(Exhaustive(material, dtw.Steps.FREE), material.same_speaker, material))]
    alarms: dict[str, tuple[float, float]] = {}
    spotters: dict[str, System[QueryAudio]] = {}
    lone: dict[str, System[QueryAudio]] = {}
    for encoder in encoders:
        name = ROW_NAMES.get(encoder, encoder)
        indexed = index(material, encoder, home / "bench" / encoder, home)
        rows += indexed_rows(material, material.main, indexed, name)
        same += indexed_rows(material, material.same_speaker, indexed, name)
        if encoder == "sa":
            words = TrueWords(material, indexed.embedder)
            rows.append(row("sa-true-boundaries", ask(words, material.main, material)))
        alarms[f"{name}+dtw"] = false_alarms(material, Search(indexed, material, SearchSettings()))
        lone[f"{name}+dtw"] = Search(indexed, material, SearchSettings())
        if encoder != "naive":
            spotters[name] = Search(indexed, material, replace(SearchSettings(), rerank=False))
            spotters[f"{name}+dtw"] = Search(indexed, material, SearchSettings())

    show("Speakers of query and archive differ", rows, COLUMNS, console)
    show("The same speaker in query and archive", same, COLUMNS, console)
    for name, (mean, median) in alarms.items():
        console.print(
            f"{name}: {mean:.2f} false alarms an hour for a word that was never said (median {median:.2f})"
        )
    result: dict[str, Any] = {
        "rows": rows,
        "same_speaker": same,
        "false_alarms_per_hour": {
            name: {"mean": mean, "median": median} for name, (mean, median) in alarms.items()
        },
    }
    write(result)  # after each part, so that nothing is lost of a run that is cut short
    result["edges"] = edge_rows(material, material.main, lone, query_segmenter())
    show("What stands around a query", result["edges"], EDGE_COLUMNS, console)
    write(result)
    czech_material = development.prepare_czech(home)
    console.print(development.describe(czech_material), highlight=False)
    czech = czech_rows(czech_material, [name for name in encoders if name not in HEARD_CZECH], home)
    show("Czech, on which none of these was trained here", czech, COLUMNS, console)
    result["czech"] = czech
    write(result)
    if not arguments.without_noise:
        result["noisy"] = noisy_rows(material, material.main, spotters)
        kinds = {kind: kind for kind in NOISE_KINDS}
        heads = {"method": "method", "snr_db": "SNR dB", "map": "MAP", "ci": "95 %", **kinds}
        show("Noisy queries", result["noisy"], heads, console)
        write(result)
    console.print(f"written to {OUTPUT}")


def write(result: dict[str, Any]) -> None:
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
