"""Makes the sample archive beside this file out of the Asterisk prompts and their word times.

    python deploy/demo/make_sample.py

Recordings are whole prompts. Queries are words cut, with 40 ms around them, out of prompts that are not
among the recordings: the same voice, another sentence. One query is a word that no recording holds.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path

import numpy as np
import soundfile

from wordspot.models.datasets import speech

HERE = Path(__file__).parent
WORDS = HERE.parents[1] / "tests" / "bench" / "annotations" / "asterisk_en_words.jsonl.gz"
SPOKEN = ("conference", "extension", "password", "volume", "message")
ABSENT = "glorious"
MINUTES = 4.0
MARGIN_SECONDS = 0.04


def main() -> None:
    with gzip.open(WORDS, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    home = Path(os.environ.get("WORDSPOT_HOME", Path.home() / ".wordspot"))
    clips = {clip.id.split("/", 1)[1]: clip for clip in speech.clips("asterisk_en", home)}
    rows = [row for row in rows if row["id"] in clips]
    sources = {word: _source(rows, word) for word in (*SPOKEN, ABSENT)}
    reserved = {row["id"] for row, _ in sources.values()}
    candidates = [
        row
        for row in sorted(rows, key=lambda row: row["id"])
        if row["id"] not in reserved and row["duration"] >= 1.5 and not _says(row, ABSENT)
    ]
    candidates.sort(key=lambda row: not any(_says(row, word) for word in SPOKEN))
    sample = HERE / "sample"
    for name in ("recordings", "queries"):
        shutil.rmtree(sample / name, ignore_errors=True)
        (sample / name).mkdir(parents=True)
    seconds, lines = 0.0, []
    for row in candidates:
        if seconds > 60 * MINUTES:
            break
        name = row["id"].replace("/", "-") + ".flac"
        shutil.copy(clips[row["id"]].path, sample / "recordings" / name)
        seconds += row["duration"]
        lines += [f"{name}\t{start:.2f}\t{end:.2f}\t{word}\n" for word, start, end in row["words"]]
    (sample / "words.tsv").write_text("recording\tstart\tend\tword\n" + "".join(lines))
    for word, (row, (_, start, end)) in sources.items():
        samples, rate = soundfile.read(clips[row["id"]].path, dtype="float32")
        first, last = (int(rate * t) for t in (max(0.0, start - MARGIN_SECONDS), end + MARGIN_SECONDS))
        soundfile.write(sample / "queries" / f"{word}.flac", np.asarray(samples[first:last]), rate)


def _says(row: dict[str, list[list[object]]], word: str) -> bool:
    return any(entry[0] == word for entry in row["words"])


def _source(rows: list[dict], word: str) -> tuple[dict, list]:
    """The longest take of the word in a prompt of at least four words, so that it was spoken in passing."""
    takes = [
        (entry[2] - entry[1], row["id"], row, entry)
        for row in rows
        if len(row["words"]) >= 4
        for entry in row["words"][1:]
        if entry[0] == word
    ]
    _, _, row, entry = max(takes, key=lambda take: take[:2])
    return row, entry


if __name__ == "__main__":
    main()
