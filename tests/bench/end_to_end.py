"""How fast a user's command indexes: `python -m tests.bench.end_to_end --encoder phonetic --minutes 30`.

The development archive, as it is in short files and joined to files of one to three minutes, indexed by
`wordspot index` in a process of its own into a home that was not there before. The clock runs from the start
of the command to its end, so it counts starting Python, loading models, decoding and everything else. Beside
it the encoder's own pass over the same speech, on every core, and a recogniser on the joined files (see
recogniser.py) with as many threads as there are cores. Each takes its turn, so often as is wished; ratios are
of medians.

Where other work keeps some cores busy, the wall clock says little. The second figure does not depend on that:
what processor time was taken, as if it had been spread evenly over the cores.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile
import torch

from tests.bench import material as development
from tests.bench.material import Material
from tests.bench.recogniser import Transcriber
from wordspot.indexer.archive.audio_files import SampleBuffer
from wordspot.indexer.records import Samples
from wordspot.indexer.sound.audio import read_blocks
from wordspot.indexer.sound.detectors import SileroDetector
from wordspot.indexer.sound.segmentation import SpeechSegmenter
from wordspot.models.encoders import load_encoder
from wordspot.services.settings import ModelHostSettings

CORES = len(os.sched_getaffinity(0))
Rows = list[dict[str, Any]]

SHORT, JOINED = "short files", "files of one to three minutes"
SHORTEST_JOINED_S, LONGEST_JOINED_S = 60.0, 180.0
ENCODER, RECOGNISER = "the encoder's own pass", "faster-whisper tiny.en int8 with its VAD filter"


@dataclass(frozen=True)
class Cost:
    """Seconds by the wall clock and of processor time."""

    wall: float
    processor: float


def end_to_end(material: Material, home: Path, encoder: str, times: int, recognise: bool = True) -> Rows:
    """Times real time of each, and ratios. Models of `home` are used.

    recognise: whether the recogniser takes part. Raises RuntimeError if the command fails or leaves
    recordings out.
    """
    folder = home / "bench" / "end-to-end"
    short = linked(material, folder / "files")
    long = joined(material, folder / f"joined-{material.seconds:.0f}")
    runs: dict[str, Callable[[], Cost]] = {
        SHORT: lambda: _indexed(short, home, encoder),
        JOINED: lambda: _indexed(long, home, encoder),
        ENCODER: OwnPass(long, home, encoder).timed,
    }
    if recognise:
        transcriber, files = Transcriber(home), sorted(long.iterdir())
        runs[RECOGNISER] = lambda: Cost(*transcriber.timed(files, CORES))
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for _ in range(times):
        for name, run in runs.items():
            costs[name].append(run())
    medians = {
        name: Cost(median(cost.wall for cost in some), median(cost.processor for cost in some))
        for name, some in costs.items()
    }
    return [*_speeds(material, encoder, medians), *_ratios(encoder, medians)]


def _speeds(material: Material, encoder: str, medians: Mapping[str, Cost]) -> Rows:
    rows = []
    for name, cost in medians.items():
        what = f"wordspot index, {encoder}, {name}" if name in (SHORT, JOINED) else name
        more = {"encoder": encoder, "cores": CORES, "wall_s": cost.wall, "processor_s": cost.processor}
        for spent, clock in ((cost.wall, "wall clock"), (cost.processor / CORES, "by processor time")):
            figure = f"{what}, x real time, {CORES} cores, {clock}"
            rows.append({"figure": figure, "value": material.seconds / spent, **more})
    return rows


def _ratios(encoder: str, medians: Mapping[str, Cost]) -> Rows:
    pairs = [(SHORT, JOINED), (JOINED, ENCODER), (RECOGNISER, JOINED)]
    return [
        {
            "figure": f"{one} / {other}, {encoder}, {clock}",
            "value": getattr(medians[one], kind) / getattr(medians[other], kind),
            "encoder": encoder,
        }
        for one, other in pairs
        if one in medians
        for kind, clock in (("wall", "wall clock"), ("processor", "by processor time"))
    ]


class OwnPass:
    """Nothing but the encoder over speech that has been decoded and segmented before."""

    def __init__(self, folder: Path, home: Path, encoder: str) -> None:
        self._encoder = load_encoder(encoder, home)
        segmenter = SpeechSegmenter(SileroDetector())
        self._sections = []
        for path in sorted(folder.iterdir()):
            buffer = SampleBuffer(read_blocks(path, max_seconds=math.inf))
            for section in segmenter.segment(buffer):
                regions = [buffer.cut(region) for region in section.regions]
                if regions:
                    self._sections.append((regions, section.spans))

    def timed(self) -> Cost:
        """Batches of as many sections as the model host takes, a thread for each core."""
        torch.set_num_threads(1)
        size = max(int(ModelHostSettings.batch_seconds / LONGEST_JOINED_S), 1)
        batches = [self._sections[at : at + size] for at in range(0, len(self._sections), size)]
        wall, processor = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(CORES) as pool:
            for _ in pool.map(self._encoder.embed_sections, batches):
                pass
        return Cost(time.perf_counter() - wall, time.process_time() - processor)


def _indexed(folder: Path, home: Path, encoder: str) -> Cost:
    with tempfile.TemporaryDirectory(prefix="home-", dir=folder.parent) as state:
        cost, report = timed_index(folder, Path(state), encoder, home)
    if report["indexed"] != (count := len(list(folder.iterdir()))):
        raise RuntimeError(f"{report['indexed']} of {count} recordings were indexed")
    return cost


def part_of(material: Material, minutes: float | None) -> Material:
    """The first recordings that together are at least so long; None means all."""
    if minutes is None:
        return material
    ends = np.cumsum([recording.seconds for recording in material.recordings])
    count = int(np.searchsorted(ends, 60 * minutes)) + 1
    return replace(material, recordings=material.recordings[:count])


def linked(material: Material, folder: Path) -> Path:
    """A folder with a link to every recording of the archive and nothing else."""
    if not folder.exists():
        folder.mkdir(parents=True)
    wanted = {
        f"{number}{recording.path.suffix}": recording for number, recording in enumerate(material.recordings)
    }
    for name in {path.name for path in folder.iterdir()} - wanted.keys():
        (folder / name).unlink()
    for name, recording in wanted.items():
        link = folder / name
        if not (link.exists() and link.samefile(recording.path)):
            link.unlink(missing_ok=True)
            link.hardlink_to(recording.path)
    return folder


def joined(material: Material, folder: Path) -> Path:
    """The archive's recordings one after another in FLAC files of one to three minutes."""
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        rng = np.random.default_rng(0)
        parts: list[Samples] = []
        wanted = rng.uniform(SHORTEST_JOINED_S, LONGEST_JOINED_S)
        for number, recording in enumerate(material.recordings):
            parts.append(development.read(recording.path))
            last = recording is material.recordings[-1]
            if last or sum(map(len, parts)) >= wanted * development.RATE:
                soundfile.write(unfinished / f"{number:05d}.flac", np.concatenate(parts), development.RATE)
                parts, wanted = [], rng.uniform(SHORTEST_JOINED_S, LONGEST_JOINED_S)
        unfinished.rename(folder)
    return folder


def timed_index(folder: Path, state: Path, encoder: str, home: Path) -> tuple[Cost, dict[str, Any]]:
    """Runs the command with the home `state` and waits for it: its cost and what it reported. Raises
    RuntimeError if it fails."""
    if (home / "models").is_dir():
        (state / "models").symlink_to(home / "models")
    command = [Path(sys.executable).with_name("wordspot"), "index", folder, "--encoder", encoder, "--json"]
    before = _children()
    begun = time.perf_counter()
    ended = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "WORDSPOT_HOME": str(state)},
        stdout=subprocess.PIPE,
        check=False,
    )
    wall = time.perf_counter() - begun
    if ended.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {ended.returncode}: {ended.stdout!r}")
    return Cost(wall, _children() - before), json.loads(ended.stdout)


def _children() -> float:
    """Processor seconds of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--encoder", default="phonetic")
    parser.add_argument("--times", type=int, default=3, help="how often each takes its turn")
    parser.add_argument("--minutes", type=float, help="of the archive, at least; default: all of it")
    parser.add_argument("--no-recogniser", action="store_true", help="leave the recogniser out")
    chosen = parser.parse_args(arguments)
    home = Path(os.environ.get("WORDSPOT_HOME", "~/.wordspot")).expanduser()
    material = part_of(development.prepare(home), chosen.minutes)
    for row in end_to_end(material, home, chosen.encoder, chosen.times, not chosen.no_recogniser):
        spent = (
            f"{row['wall_s']:.1f} s, of processor time {row['processor_s']:.1f} s" if "cores" in row else ""
        )
        print(f"{row['figure']:100s} {row['value']:7.2f}   {spent}", flush=True)


if __name__ == "__main__":
    main()
