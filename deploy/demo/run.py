"""The demo: three services, the sample archive, five spoken queries and a word that was never said.

    make demo

Everything lives below build/demo and is made afresh. Words of the sample are known, so each hit is shown
beside what was really said there.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from wordspot import Client
from wordspot.indexer.records import Hit

HERE = Path(__file__).parent
SAMPLE = HERE / "sample"
STATE = HERE.parents[1] / "build" / "demo"
SPOKEN = ("conference", "extension", "password", "volume", "message")
NEVER_SAID = "glorious"
TOP = 5
BELOW = 3  # places below the threshold, marked so, where none reaches it


@dataclass(frozen=True)
class Word:
    text: str
    start: float
    end: float


def read_words() -> dict[str, list[Word]]:
    """What was said in each recording of the sample, by file name."""
    said: dict[str, list[Word]] = {}
    with (SAMPLE / "words.tsv").open() as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            word = Word(row["word"], float(row["start"]), float(row["end"]))
            said.setdefault(row["recording"], []).append(word)
    return said


def heard(hit: Hit, said: dict[str, list[Word]]) -> str:
    """The words of which at least half lies within the hit."""
    words = said.get(Path(hit.path).name, [])
    inside = [w for w in words if min(w.end, hit.end) - max(w.start, hit.start) >= (w.end - w.start) / 2]
    return " ".join(word.text for word in inside)


@contextmanager
def service(name: str, *flags: str) -> Iterator[str]:
    """Runs `wordspot serve` on a free port; yields its address."""
    command = [str(Path(sys.executable).with_name("wordspot")), "serve", name, "--port", "0", *flags]
    with (STATE / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "WORDSPOT_HOME": str(STATE / "home")},
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        if not line:
            raise SystemExit(f"{name} did not start; see {STATE / f'{name}.log'}")
        yield line.split()[-1]
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    console = Console(width=100, highlight=False)
    shutil.rmtree(STATE, ignore_errors=True)
    (STATE / "home").mkdir(parents=True)
    said = read_words()
    with ExitStack() as running:
        begun = time.perf_counter()
        segmenter = running.enter_context(service("segmenter"))
        modelhost = running.enter_context(service("modelhost"))
        searcher = running.enter_context(
            service("searcher", "--segmenter", segmenter, "--modelhost", modelhost)
        )
        console.print(f"segmenter {segmenter}, modelhost {modelhost}, searcher {searcher}")
        client = running.enter_context(Client(searcher))
        report = client.index([SAMPLE / "recordings"])
        archive = report.archive
        console.print(
            f"indexed {archive.recordings} recordings, {archive.audio_seconds / 60:.1f} min, "
            f"{archive.spans:,} spans with {archive.encoder} in {report.seconds:.1f} s; "
            f"{time.perf_counter() - begun:.1f} s since the start"
        )
        right = shown = 0
        for word in SPOKEN:
            found, count = ask(client, word, said, console)
            right, shown = right + found, shown + count
        false_alarms = ask(client, NEVER_SAID, said, console)[1]
    console.print(
        f"\n{right} of {shown} detections hold the word asked for; "
        f"{false_alarms} for a word that was never said."
    )
    if not right:
        raise SystemExit("no query found its word")


def ask(client: Client, word: str, said: dict[str, list[Word]], console: Console) -> tuple[int, int]:
    """Prints the best places; returns how many detections hold the word, and how many there are."""
    begun = time.perf_counter()
    places = client.search(SAMPLE / "queries" / f"{word}.flac", top=TOP, all_hits=True)
    spent = 1e3 * (time.perf_counter() - begun)
    hits = [hit for hit in places if hit.detected]
    times = sum(entry.text == word for words in said.values() for entry in words)
    console.print(f"\n[bold]{word}[/bold]: said {times} times, {len(hits)} found, {spent:.0f} ms")
    table = Table(box=None, pad_edge=False)
    for column, justify in (
        ("recording", "left"),
        ("seconds", "right"),
        ("score", "right"),
        ("P", "right"),
        ("said", "left"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    right = 0
    for hit in hits or places[:BELOW]:
        words = heard(hit, said)
        right += hit.detected and word in words.split()
        mark = "[green]" if word in words.split() else "[red]"
        table.add_row(
            Path(hit.path).name,
            f"{hit.start:.2f} - {hit.end:.2f}",
            f"{hit.score:.1f}",
            f"{hit.p_correct:.2f}{' ' if hit.detected else '?'}",
            f"{mark}{words}",
        )
    console.print(table)
    return right, len(hits)


if __name__ == "__main__":
    main()
