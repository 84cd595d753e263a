"""How fast, how large, how close: `make bench-scale`, or in parts:

    python -m tests.bench.scale indexing memory --encoder naive
    python -m tests.bench.scale search --encoder naive --hours 100
    python -m tests.bench.scale search --encoder naive --dimension 64 --hours 1000

    indexing   times real time, end to end through the services, on the development archive
    memory     peak of a process that indexes one recording of three hours
    search     for each of the hours: bytes a vector, seconds to build the index, recall@100 against all
               vectors, milliseconds a query by stage; at ten hours at most, against exhaustive DTW too

Hours are the development archive's own vectors and frames over and over, each copy mixed with other rows of
the archive: a copied vector leans towards another of its length, a copied frame towards one elsewhere. They
lie in memory-mapped files below WORDSPOT_HOME/bench/scale. The three hours of `memory` are development
recordings one after another.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile
import torch
from numpy.typing import NDArray
from rich.console import Console

from tests.bench import material as development
from tests.bench.material import Material
from tests.bench.retrieval import isolated
from tests.bench.systems import Exhaustive, Indexed, index
from wordspot.indexer.archive import cache
from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.records import Embedder, EncoderInfo, Samples, SearchOptions, SectionEmbeddings
from wordspot.indexer.search import dtw
from wordspot.indexer.search.finder import Finder
from wordspot.indexer.search.query import EmbeddedQuery, embed_query
from wordspot.indexer.search.settings import SearchSettings
from wordspot.indexer.vectors.buckets import (
    NOMINAL_TICKS,
    BucketedIndex,
    Neighbours,
    Snapshot,
    bucket_of,
    search_order,
)
from wordspot.indexer.vectors.exact import merge_neighbours, nearest
from wordspot.indexer.vectors.policy import IndexPolicy
from wordspot.indexer.vectors.protocol import IdSet, SpanIndex, normalised, packed, quantised, unpacked
from wordspot.indexer.vectors.stored import SegmentSpans, StoredRows

Rows = list[dict[str, Any]]

OUTPUT = Path("build/bench/scale.json")
PARTS = ("indexing", "memory", "search")
HOURS = (10.0, 100.0)
EXHAUSTIVE_HOURS = 10.0  # more does not fit into memory
LEAN = (0.2, 0.6)  # length of what is mixed into unit rows
ROWS_AT_ONCE = 1 << 18
QUERIES_OF_RECALL = 32
QUERIES_TO_EACH_EXHAUSTIVE = 6
DEPTH = 100


def indexing(material: Material, home: Path, encoder: str) -> dict[str, Any]:
    """`wordspot index` on the archive's files, in a process of its own."""
    folder = home / "bench" / "scale" / "files"
    if not folder.exists():
        folder.mkdir(parents=True)
        for number, recording in enumerate(material.recordings):
            os.link(recording.path, folder / f"{number}.flac")
    spent, peak = _index_in_process(folder, home / "bench" / "scale" / f"home-{encoder}", encoder, home)
    return {"figure": f"indexing, {encoder}, x real time", "value": material.seconds / spent, "peak_mb": peak}


def memory(material: Material, home: Path, encoder: str) -> dict[str, Any]:
    """Peak resident memory of `wordspot index` on a recording of three hours."""
    folder = home / "bench" / "scale" / "long"
    path = folder / "three-hours.flac"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        written = 0.0
        with soundfile.SoundFile(path, "w", 16_000, 1) as file:
            for recording in cycle(material.recordings):
                samples = development.read(recording.path)
                file.write(samples)
                written += len(samples) / 16_000
                if written >= 3 * 3600:
                    break
    spent, peak = _index_in_process(folder, home / "bench" / "scale" / "home-long", encoder, home)
    seconds = soundfile.info(path).duration
    return {"figure": f"memory, {encoder}, MB for three hours", "value": peak, "x_real_time": seconds / spent}


def _index_in_process(folder: Path, state: Path, encoder: str, home: Path) -> tuple[float, float]:
    """Seconds and peak MB over the process and its children. Models of `home` are used."""
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    if (home / "models").is_dir():
        (state / "models").symlink_to(home / "models")
    command = [Path(sys.executable).with_name("wordspot"), "index", folder, "--encoder", encoder, "--json"]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        env={**os.environ, "WORDSPOT_HOME": str(state)},
        stdout=subprocess.PIPE,
    )
    peak = 0.0
    watched = psutil.Process(process.pid)
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.1):
            try:
                family = [watched, *watched.children(recursive=True)]
                peak = max(peak, sum(member.memory_info().rss for member in family) / 1e6)
            except psutil.NoSuchProcess:
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = process.communicate()
    done.set()
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {process.returncode}: {output!r}")
    return time.perf_counter() - begun, peak


@dataclass(frozen=True)
class Projected:
    """An embedder whose vectors and frames are projected at random to other widths."""

    embedder: Embedder
    info: EncoderInfo
    vectors: NDArray[np.float32]
    frames: NDArray[np.float32]
    threshold: float | None = None
    query_padding: int = 0
    calibration: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, embedder: Embedder, dimension: int) -> Projected:
        info, rng = embedder.info, np.random.default_rng(0)
        return cls(
            embedder,
            replace(info, dimension=dimension, frame_dimension=dimension, hash=f"{info.hash}-{dimension}"),
            rng.standard_normal((info.dimension, dimension), dtype=np.float32),
            rng.standard_normal((info.frame_dimension, dimension), dtype=np.float32),
        )

    def embed(self, regions: Sequence[Samples], spans: NDArray[np.int32]) -> SectionEmbeddings:
        plain = self.embedder.embed(regions, spans)
        return SectionEmbeddings(
            plain.vectors @ self.vectors, tuple(part @ self.frames for part in plain.frames)
        )


def grown(view: ArchiveView, embedder: Embedder, hours: float, seconds: float, folder: Path) -> ArchiveView:
    """The archive of so many seconds over and over until it has so many hours, its index not yet built."""
    copies = round(hours * 3600 / seconds)
    info = embedder.info
    vectors, frames = (np.concatenate(list(map(unpacked, kept))) for kept in (view.vectors, view.frames))
    table = np.concatenate(view.tables)
    if isinstance(embedder, Projected):
        vectors = quantised(vectors.astype(np.float32) @ embedder.vectors)
        frames = quantised(frames.astype(np.float32) @ embedder.frames)
    # The rows a copied vector may lean towards: those of its class of length.
    classes = bucket_of(table["length"])
    order = np.argsort(classes, kind="stable")
    bounds = np.searchsorted(classes[order], np.arange(len(NOMINAL_TICKS) + 1))

    def partners(rows: slice, rng: np.random.Generator) -> NDArray[np.int64]:
        low, high = bounds[classes[rows]], bounds[classes[rows] + 1]
        return np.asarray(order[rng.integers(low, high)], dtype=np.int64)

    def elsewhere(rows: slice, rng: np.random.Generator) -> NDArray[np.int64]:
        return (np.arange(rows.start, rows.stop) + int(rng.integers(len(frames)))) % len(frames)

    _cleared_unless_of(folder, hashlib.sha256(vectors).hexdigest())
    mapped = {}
    for name, rows, choose in (("vectors", vectors, partners), ("frames", frames, elsewhere)):
        path = folder / f"{name}.npy"
        stored = packed(rows[:0].astype(np.float32))
        shape = (copies * len(rows), stored.shape[1])
        if not (path.exists() and np.load(path, mmap_mode="r").shape == shape):
            out = np.lib.format.open_memmap(path.with_suffix(".tmp"), "w+", stored.dtype, shape)
            rng = np.random.default_rng(len(rows))
            for copy in range(copies):
                for first in range(0, len(rows), ROWS_AT_ONCE):
                    part = slice(first, min(first + ROWS_AT_ONCE, len(rows)))
                    lean = rng.uniform(*LEAN, (part.stop - part.start, 1)).astype(np.float32)
                    mixed = normalised(rows[part]) + lean * normalised(rows[choose(part, rng)])
                    out[copy * len(rows) + part.start : copy * len(rows) + part.stop] = packed(mixed)
            out.flush()
            path.with_suffix(".tmp").rename(path)
        mapped[name] = np.load(path, mmap_mode="r")
    np.save(folder / "spans.npy", np.tile(table, copies))
    starts = np.cumsum([0, *map(len, view.frames)])[:-1]
    frame = starts[view.region_segment] + view.region_frame
    return replace(
        view,
        encoder=info,
        recordings=tuple(
            replace(entry, id=f"{entry.id}-{copy}") for copy in range(copies) for entry in view.recordings
        ),
        region_recording=_shifted(view.region_recording, len(view.recordings), copies).astype(np.int32),
        region_start=np.tile(view.region_start, copies),
        region_stop=np.tile(view.region_stop, copies),
        region_segment=np.zeros(len(view.region_start) * copies, np.int32),
        region_frame=_shifted(frame, len(frames), copies),
        region_span=np.append(_shifted(view.region_span[:-1], len(table), copies), len(table) * copies),
        tables=[np.load(folder / "spans.npy", mmap_mode="r")],
        vectors=[mapped["vectors"]],
        frames=[mapped["frames"]],
    )


def _cleared_unless_of(folder: Path, source: str) -> None:
    """What lies in the folder was grown from other rows, in another order, unless its name is there."""
    note = folder / "source"
    if not note.exists() or note.read_text() != source:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        note.write_text(source)


def _shifted(values: NDArray[Any], step: int, copies: int) -> NDArray[np.int64]:
    return np.concatenate([values.astype(np.int64) + step * copy for copy in range(copies)])


@dataclass
class Timed:
    """A view's index that counts the seconds spent in it."""

    index: SpanIndex
    seconds: float = 0.0

    @property
    def size(self) -> int:
        return self.index.size

    def search(
        self, queries: NDArray[np.float32], k: int, ticks: int, allowed: IdSet | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        begun = time.perf_counter()
        found = self.index.search(queries, k, ticks, allowed)
        self.seconds += time.perf_counter() - begun
        return found


def search(material: Material, indexed: Indexed, hours: float, embedder: Embedder, folder: Path) -> Rows:
    """Size, closeness and speed of search in so many hours."""
    view = grown(indexed.view, embedder, hours, material.seconds, folder)
    stored = [
        SegmentSpans(vectors, table["length"])
        for vectors, table in zip(view.vectors, view.tables, strict=True)
    ]
    name = f"{embedder.info.name}, {hours:g} h,"
    cached, _ = cache.load(folder, embedder.info)
    begun = time.perf_counter()
    index = cached
    if index is None or index.size != view.spans:
        index = BucketedIndex.build(IndexPolicy(), embedder.info.dimension, stored)
        cache.save(index, folder, ["grown"], embedder.info.hash)
    spent = time.perf_counter() - begun
    timed = Timed(Snapshot(index, view.vectors))
    view = replace(view, index=timed)
    indexed_bytes = sum(path.stat().st_size for path in folder.glob("index-*"))
    rows = [
        {"figure": f"{name} million spans", "value": view.spans / 1e6},
        {"figure": f"{name} bytes a span of the index, in memory", "value": indexed_bytes / view.spans},
        {
            "figure": f"{name} MB an hour of segments and index on disk",
            "value": sum(file.stat().st_size for file in folder.iterdir()) / 1e6 / hours,
        },
    ]
    if cached is not index:
        rows.append({"figure": f"{name} seconds to build the index", "value": spent})
    queries = [embed_query(isolated(query), embedder) for query in material.main]
    rows.append({"figure": f"{name} recall@{DEPTH}", "value": _recall(view, stored, queries)})
    rows += _speed(view, timed, queries, name)
    if hours <= EXHAUSTIVE_HOURS:
        rows += _against_exhaustive(material, view, hours, queries, name)
    return rows


def _recall(view: ArchiveView, stored: Sequence[SegmentSpans], queries: Sequence[EmbeddedQuery]) -> float:
    """Of the DEPTH nearest of all spans of like duration, those that the index finds; a mean over queries."""
    some = [query for query in queries if len(query.vectors) == 1][:QUERIES_OF_RECALL]
    vectors = np.concatenate([query.vectors for query in some])
    truth: list[list[Neighbours]] = [[] for _ in some]
    for bucket in range(len(NOMINAL_TICKS)):
        wanted = [n for n, query in enumerate(some) if bucket in next(search_order(query.piece))]
        if wanted:
            rows = StoredRows(stored, lambda lengths, bucket=bucket: bucket_of(lengths) == bucket)
            ids, similarity = nearest(rows.blocks(), vectors[wanted], DEPTH)
            for place, n in enumerate(wanted):
                truth[n].append((ids[place : place + 1], similarity[place : place + 1]))
    shared = []
    for query, parts in zip(some, truth, strict=True):
        best, _ = merge_neighbours(parts, DEPTH)
        found, _ = view.index.search(query.vectors, DEPTH, query.piece)
        shared.append(len(np.intersect1d(best, found)) / DEPTH)
    return float(np.mean(shared))


def _speed(view: ArchiveView, timed: Timed, queries: Sequence[EmbeddedQuery], name: str) -> Rows:
    """Milliseconds a query, without embedding, asked once before."""
    finder = Finder(SearchSettings())
    options = SearchOptions(top=10, include_undetected=True)
    spent = []
    for _ in range(2):
        spent.clear()
        for query in queries:
            timed.seconds = 0.0
            begun = time.perf_counter()
            finder.find(view, query, options)
            spent.append((time.perf_counter() - begun, timed.seconds))
    whole, first = 1e3 * np.array(spent).T
    return [
        {"figure": f"{name} ms a query, {stage} ({label})", "value": float(np.quantile(values, at))}
        for stage, values in (("search", whole), ("first stage", first), ("second stage", whole - first))
        for label, at in (("median", 0.5), ("95 %", 0.95))
    ]


def _against_exhaustive(
    material: Material, view: ArchiveView, hours: float, queries: Sequence[EmbeddedQuery], name: str
) -> Rows:
    """Times as fast as exhaustive DTW, query by query. Searches come first: they leave one another the
    caches that hours of frames take away."""
    finder, options = Finder(SearchSettings()), SearchOptions(top=10, include_undetected=True)
    frames = normalised(unpacked(np.concatenate(view.frames)))
    bounds = np.append(view.region_frame, len(frames)).astype(np.int64)
    baseline = Exhaustive(material, dtw.Steps.FREE, copies=round(hours * 3600 / material.seconds))
    ours, exhaustive, classic = [], [], []
    some = list(zip(material.main, queries, strict=True))[::QUERIES_TO_EACH_EXHAUSTIVE]
    finder.find(view, queries[0], options)
    for _, embedded in some:
        begun = time.perf_counter()
        finder.find(view, embedded, options)
        ours.append(time.perf_counter() - begun)
    for query, embedded in some:
        begun = time.perf_counter()
        cost, start = dtw.alignment_curves(
            embedded.frames, lambda a, b: frames[bounds[a] : bounds[b]], bounds
        )
        dtw.alignments(cost, start, bounds)
        exhaustive.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        baseline.answer(isolated(query))
        classic.append(time.perf_counter() - begun)
    return [
        {"figure": f"{name} times as fast as exhaustive DTW, {kind}", "value": float(np.median(ratio))}
        for kind, ratio in (
            ("39 MFCC every 10 ms", np.array(classic) / ours),
            ("its own frames", np.array(exhaustive) / ours),
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--encoder", default="dsa")
    parser.add_argument("--hours", type=float, nargs="+", default=HOURS)
    parser.add_argument("--dimension", type=int, help="project vectors and frames at random to this width")
    chosen = parser.parse_args()
    parts = chosen.parts or PARTS
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"no part {unknown[0]!r}; parts are {', '.join(PARTS)}")
    torch.set_num_threads(1)
    home = Path(os.environ.get("WORDSPOT_HOME", "~/.wordspot")).expanduser()
    console = Console(width=120)
    material = development.prepare(home)
    rows: Rows = []

    def add(*entries: dict[str, Any]) -> None:
        for entry in entries:
            rows.append(entry)
            more = ", ".join(f"{k} {v:.1f}" for k, v in entry.items() if k not in ("figure", "value"))
            console.print(f"{entry['figure']:72s} {entry['value']:10.3f}  {more}", highlight=False)

    encoder = chosen.encoder
    if "indexing" in parts:
        add(indexing(material, home, encoder))
    if "memory" in parts:
        add(memory(material, home, encoder))
    if "search" in parts:
        scale = home / "bench" / "scale"
        indexed = index(material, encoder, scale / f"archive-{encoder}", home)
        embedder: Embedder = indexed.embedder
        if chosen.dimension:
            embedder = Projected.of(embedder, chosen.dimension)
        for hours in chosen.hours:
            width = embedder.info.dimension
            add(*search(material, indexed, hours, embedder, scale / f"{encoder}-{width}-{hours:g}h"))
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
