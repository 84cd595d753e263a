"""Draws the README's picture: a spoken query and the best hits for it in the sample archive.

make demo && .venv/bin/pip install matplotlib && .venv/bin/python deploy/demo/picture.py
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from wordspot import Client
from wordspot.models import audio

HERE = Path(__file__).parent
SAMPLE = HERE / "sample"
QUERY = SAMPLE / "queries" / "conference.flac"
ROWS = 4


def main() -> None:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with (SAMPLE / "words.tsv").open() as lines:
        words = list(csv.DictReader(lines, delimiter="\t"))
    with tempfile.TemporaryDirectory() as home, Client(home=Path(home)) as client:
        client.index([SAMPLE / "recordings"])
        hits = client.search(QUERY, top=30)
    shown, seen = [], set()
    for hit in hits:
        if hit.path not in seen and len(shown) < ROWS:
            seen.add(hit.path)
            shown.append(hit)
    figure, axes = plt.subplots(ROWS + 1, 1, figsize=(8, 1.15 * (ROWS + 1)), layout="constrained")
    longest = 2.5
    _spectrogram(axes[0], QUERY, longest)
    axes[0].set_title("query: one spoken word", loc="left", fontsize=10)
    for axis, hit in zip(axes[1:], shown, strict=True):
        path = Path(hit.path)
        begin = max(0.0, hit.start - 1.4)
        _spectrogram(axis, path, longest, begin)
        axis.axvspan(hit.start - begin, hit.end - begin, fill=False, edgecolor="#d62728", linewidth=2)
        axis.set_title(
            f"{path.name}   {hit.start:.2f} - {hit.end:.2f} s   score {hit.score:.1f}",
            loc="left",
            fontsize=10,
        )
        for word in words:
            middle = (float(word["start"]) + float(word["end"])) / 2 - begin
            if word["recording"] == path.name and 0 <= middle <= longest:
                axis.text(middle, 2, word["word"], ha="center", fontsize=7, color="white")
    for axis in axes:
        axis.set_yticks([])
        axis.set_xlim(0, longest)
        axis.tick_params(labelsize=7)
    axes[-1].set_xlabel("seconds", fontsize=8)
    figure.savefig(HERE / "hits.png", dpi=110)


def _spectrogram(axis: object, path: Path, longest: float, begin: float = 0.0) -> None:
    picture = audio.log_mel(torch.from_numpy(audio.load(path, begin, longest))).numpy().T
    seconds = picture.shape[1] / audio.TICKS_PER_SECOND
    floor = float(np.quantile(picture, 0.2))
    axis.imshow(  # type: ignore[attr-defined]
        picture, origin="lower", aspect="auto", cmap="magma", vmin=floor, extent=(0, seconds, 0, 40)
    )


if __name__ == "__main__":
    main()
