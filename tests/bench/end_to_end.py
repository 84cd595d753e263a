"""How fast a user's command indexes: `python -m tests.bench.end_to_end --encoder phonetic`.

The development archive, as it is in 1,650 short files and joined to files of ten minutes, indexed by
`wordspot index` in a process of its own into a home that was not there before. The clock runs from the start
of the command to its end, so it counts starting Python, loading models, decoding and everything else.

Where other work keeps some cores busy, the wall clock says little. The second figure does not depend on that:
what processor time the command took, as if it had spread it evenly over its cores.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests.bench import material as development
from tests.bench.material import Material
from wordspot.indexer.records import Samples

Rows = list[dict[str, Any]]

JOINED_SECONDS = 600


@dataclass(frozen=True)
class Cost:
    """Of one command: seconds by the wall clock and of processor time, and what it reported."""

    wall: float
    processor: float
    report: dict[str, Any]


def end_to_end(material: Material, home: Path, encoder: str) -> Rows:
    """Indexes the development archive afresh, in both forms. Models of `home` are used.

    Raises RuntimeError if the command fails or leaves recordings out.
    """
    folder = home / "bench" / "end-to-end"
    return [
        *_measured(material, linked(material, folder / "files"), home, encoder, "short files"),
        *_measured(material, joined(material, folder / "joined"), home, encoder, "files of ten minutes"),
    ]


def _measured(material: Material, folder: Path, home: Path, encoder: str, kind: str) -> Rows:
    with tempfile.TemporaryDirectory(prefix="home-", dir=folder.parent) as state:
        cost = timed_index(folder, Path(state), encoder, home)
    if cost.report["indexed"] != (count := len(list(folder.iterdir()))):
        raise RuntimeError(f"{cost.report['indexed']} of {count} recordings were indexed")
    cores = len(os.sched_getaffinity(0))
    more = {"encoder": encoder, "cores": cores, "wall_s": cost.wall, "processor_s": cost.processor}
    return [
        {
            "figure": f"wordspot index, {encoder}, {kind}, x real time, {cores} cores, wall clock",
            "value": material.seconds / cost.wall,
            **more,
        },
        {
            "figure": f"wordspot index, {encoder}, {kind}, x real time, {cores} cores, by processor time",
            "value": material.seconds / (cost.processor / cores),
            **more,
        },
    ]


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
    """The archive's recordings one after another in FLAC files of ten minutes or a little more."""
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        parts: list[Samples] = []
        for number, recording in enumerate(material.recordings):
            parts.append(development.read(recording.path))
            if (
                sum(map(len, parts)) >= JOINED_SECONDS * development.RATE
                or recording is material.recordings[-1]
            ):
                soundfile.write(unfinished / f"{number}.flac", np.concatenate(parts), development.RATE)
                parts = []
        unfinished.rename(folder)
    return folder


def timed_index(folder: Path, state: Path, encoder: str, home: Path) -> Cost:
    """Runs the command with the home `state` and waits for it. Raises RuntimeError if it fails."""
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
    return Cost(wall, _children() - before, json.loads(ended.stdout))


def _children() -> float:
    """Processor seconds of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--encoder", default="phonetic")
    parser.add_argument("--times", type=int, default=1, help="how often")
    chosen = parser.parse_args(arguments)
    home = Path(os.environ.get("WORDSPOT_HOME", "~/.wordspot")).expanduser()
    material = development.prepare(home)
    for _ in range(chosen.times):
        for row in end_to_end(material, home, chosen.encoder):
            spent = f"{row['wall_s']:.1f} s, of processor time {row['processor_s']:.1f} s"
            print(f"{row['figure']:92s} {row['value']:7.1f}   {spent}", flush=True)


if __name__ == "__main__":
    main()
