"""How fast, how large, how close: `make bench-scale`.

    indexing      times real time, end to end through the services, on the development archive
    memory        peak of a process that indexes one recording of three hours
    search        milliseconds a query on ten hours, and against exhaustive DTW over the same ten hours
    approximate   recall@100 of IVF-SQ8 and IVF-PQ against the exact index, on real vectors

Ten hours are the development archive's own spans and frames repeated with noise: vectors turned by about
ten degrees, frames by as much. The three hours are development recordings one after another.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
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
from wordspot.indexer import dtw
from wordspot.indexer.records import SearchOptions
from wordspot.indexer.search import Finder, SearchSettings, embed_query
from wordspot.indexer.vectors.choice import IndexPolicy
from wordspot.indexer.vectors.protocol import normalised
from wordspot.indexer.view import ArchiveView

OUTPUT = Path("build/bench/scale.json")
HOURS = 10.0
TURN = 0.18  # length of the noise added to unit rows


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


def search(material: Material, indexed: Indexed) -> list[dict[str, Any]]:
    """Milliseconds a query on the repeated archive; the ratio is pair by pair with exhaustive DTW."""
    view = repeated(indexed.view, HOURS * 3600 / material.seconds)
    finder = Finder(SearchSettings())
    queries = [isolated(query) for query in material.main]
    options = SearchOptions(top=10, include_undetected=True)
    finder.find(view, embed_query(queries[0], indexed.embedder), options)
    frames = normalised(np.concatenate([np.asarray(part, np.float32) for part in view.frames]))
    bounds = np.append(view.region_frame, len(frames)).astype(np.int64)
    baseline = Exhaustive(material, dtw.Steps.FREE, copies=round(HOURS * 3600 / material.seconds))
    ours, embedding, exhaustive, classic = [], [], [], []
    for number, query in enumerate(queries):
        begun = time.perf_counter()
        embedded = embed_query(query, indexed.embedder)
        embedding.append(time.perf_counter() - begun)
        finder.find(view, embedded, options)
        ours.append(time.perf_counter() - begun)
        if number < 25:
            begun = time.perf_counter()
            cost, start = dtw.alignment_curves(
                embedded.frames, lambda a, b: frames[bounds[a] : bounds[b]], bounds
            )
            dtw.alignments(cost, start, bounds)
            exhaustive.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            baseline.answer(query)
            classic.append(time.perf_counter() - begun)
    compared = np.array(ours[: len(exhaustive)])
    name = f"search, {indexed.view.encoder.name},"
    median, late = 1e3 * np.quantile(ours, [0.5, 0.95])
    return [
        {"figure": f"{name} ms a query at {HOURS:.0f} h (median)", "value": float(median)},
        {"figure": f"{name} ms a query at {HOURS:.0f} h (95 %)", "value": float(late)},
        {"figure": f"{name} of these embedding, ms", "value": 1e3 * float(np.median(embedding))},
        {
            "figure": f"{name} times as fast as exhaustive DTW, 39 MFCC every 10 ms",
            "value": float(np.median(np.array(classic) / compared)),
        },
        {
            "figure": f"{name} times as fast as exhaustive DTW on its own frames every 20 ms",
            "value": float(np.median(np.array(exhaustive) / compared)),
        },
    ]


def repeated(view: ArchiveView, times: float) -> ArchiveView:
    """The archive over and over, each copy with its own noise, until it is `times` as large."""
    copies = round(times)
    rng = np.random.default_rng(0)
    vectors = np.concatenate([np.asarray(part) for part in view.vectors])
    frames = np.concatenate([np.asarray(part) for part in view.frames])
    starts = np.cumsum([0, *(len(part) for part in view.frames)])[:-1]
    first = starts[view.region_segment] + view.region_frame
    rows, regions, recordings = len(vectors), len(view.region_start), len(view.recordings)
    whole = np.concatenate([_turned(vectors, rng) for _ in range(copies)])
    grown = IndexPolicy("ivf-sq8").build(whole.shape[1], [whole])
    return replace(
        view,
        recordings=tuple(
            replace(entry, id=f"{entry.id}-{copy}") for copy in range(copies) for entry in view.recordings
        ),
        span_recording=_shifted(view.span_recording, recordings, copies),
        span_region=_shifted(view.span_region, regions, copies),
        span_start=np.tile(view.span_start, copies),
        span_stop=np.tile(view.span_stop, copies),
        region_recording=_shifted(view.region_recording, recordings, copies),
        region_start=np.tile(view.region_start, copies),
        region_stop=np.tile(view.region_stop, copies),
        region_segment=np.zeros(regions * copies, np.int32),
        region_frame=np.concatenate([first + copy * len(frames) for copy in range(copies)]),
        vectors=[whole],
        frames=[np.concatenate([_turned(frames, rng) for _ in range(copies)])],
        index=grown,
        version=f"{view.version} x {copies} ({rows * copies})",
    )


def _turned(rows: NDArray[np.float16], rng: np.random.Generator) -> NDArray[np.float16]:
    noise = rng.standard_normal(rows.shape, dtype=np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True) * TURN / np.sqrt(rows.shape[1])
    return (rows + length.astype(np.float32) * noise).astype(np.float16)


def _shifted(values: NDArray[np.int32], step: int, copies: int) -> NDArray[np.int32]:
    return np.concatenate([values + step * copy for copy in range(copies)]).astype(np.int32)


def approximate(material: Material, indexed: Indexed) -> list[dict[str, Any]]:
    """recall@100 against the exact index for the development queries."""
    stored, dimension = list(indexed.view.vectors), indexed.embedder.info.dimension
    queries = np.concatenate([embed_query(isolated(q), indexed.embedder).vectors for q in material.main])
    truth, _ = IndexPolicy("exact").build(dimension, stored).search(queries, 100)
    rows = []
    for kind in ("ivf-sq8", "ivf-pq"):
        found, _ = IndexPolicy(kind).build(dimension, stored).search(queries, 100)
        shared = [len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True)]
        figure = f"recall@100 of {kind} on {indexed.view.spans:,} vectors"
        rows.append({"figure": figure, "value": float(np.mean(shared)) / 100})
    return rows


def main() -> None:
    torch.set_num_threads(1)
    home = Path(os.environ.get("WORDSPOT_HOME", "~/.wordspot")).expanduser()
    console = Console(width=120)
    material = development.prepare(home)
    rows: list[dict[str, Any]] = []

    def add(*entries: dict[str, Any]) -> None:
        for entry in entries:
            rows.append(entry)
            more = ", ".join(f"{k} {v:.1f}" for k, v in entry.items() if k not in ("figure", "value"))
            console.print(f"{entry['figure']:72s} {entry['value']:10.3f}  {more}", highlight=False)

    for encoder in ("naive", "sa"):
        add(indexing(material, home, encoder))
    add(memory(material, home, "sa"))
    indexed = index(material, "dsa", home / "bench" / "dsa", home)
    add(*approximate(material, indexed))
    add(*search(material, indexed))
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
