"""What adapting an encoder to an archive is worth: `python -m tests.bench.adapt --encoder NAME`.

For each archive: index it, mine it and adapt the encoder as `wordspot adapt` does, index it anew, and ask the
same queries of both. Nothing of the annotation reaches the adaptation; with it, it is printed how many of the
mined pairs hold a common word. Intervals are paired, by bootstrap over keywords and over queries.

Czech trains nothing of ours. Of Spanish the archive (Allison) does not either; the voice that asks there
(July) is among what the default heard in training, without words.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from tests.bench import material as development
from tests.bench.material import Material, Query, Word
from tests.bench.metrics import average_precision, bootstrap_interval, by_keyword
from tests.bench.retrieval import ask, in_context, isolated
from tests.bench.systems import ARCHIVE, Indexed, Search, index
from wordspot.indexer.archive.library import Library
from wordspot.indexer.records import TICKS_PER_SECOND, QueryAudio
from wordspot.indexer.search.mining import MiningResult, MiningSettings, Stretch
from wordspot.indexer.search.settings import SearchSettings
from wordspot.indexer.sound.audio import DirectDecoder
from wordspot.indexer.sound.detectors import SileroDetector
from wordspot.indexer.sound.segmentation import SpeechSegmenter
from wordspot.indexer.sound.spans import SpanPlan
from wordspot.models import adaptation
from wordspot.models.encoders import load_encoder
from wordspot.services.archive_material import gather_material

OUTPUT = Path("build/bench/adapt.json")
ARCHIVES: dict[str, Callable[[Path], Material]] = {
    "czech": development.prepare_czech,
    "spanish": development.prepare_spanish,
    "english": development.prepare,
}
POSES: dict[str, Callable[[Query], QueryAudio]] = {"isolated": isolated, "in context": in_context}


def adapted(
    name: str, material: Material, encoder: str, home: Path, options: argparse.Namespace, console: Console
) -> dict[str, Any]:
    """Adapts to one archive and judges the encoder before and after."""
    begun = time.process_time(), time.perf_counter()
    folder = home / "bench" / f"adapt-{name}"
    before = index(material, encoder, folder / "before", home)
    with closing(opened(folder / "before", encoder)) as library:
        settings = MiningSettings(seeds=options.seeds, seed=options.seed)
        gathered = gather_material(library, ARCHIVE, home, settings)
        share = common_words(
            gathered.mined, [entry.path for entry in library.view(ARCHIVE).recordings], material
        )
    console.print(
        f"{name}: {len(gathered.mined.pairs)} pairs, {len(gathered.clusters)} clusters; of the annotated "
        f"pairs {share:.2f} have their main word in common",
        highlight=False,
    )
    mined = time.process_time(), time.perf_counter()
    out = folder / f"{encoder}-{name}"
    shutil.rmtree(out, ignore_errors=True)
    done = adaptation.adapt(
        encoder,
        gathered.spectra,
        gathered.clusters,
        out,
        speech=gathered.speech,
        home=home,
        learned_from=gathered.learned_from,
        minutes=options.minutes,
        steps=options.steps,
        seed=options.seed,
        force=True,
        device=options.device,
        report=lambda progress: console.print(
            f"step {progress.step}  {progress.minutes:.1f} min  validation {progress.validation:.4f}"
        ),
    )
    judgement = done.judgement
    ended = time.process_time(), time.perf_counter()
    after = index(material, str(out), folder / "after", home)
    result: dict[str, Any] = {
        "archive": name,
        "pairs": len(gathered.mined.pairs),
        "clusters": len(gathered.clusters),
        "main_word_in_common": share,
        "steps": done.progress.step,
        "minutes": done.progress.minutes,
        "held_out_before": float(judgement.before.mean()),
        "held_out_after": float(judgement.after.mean()),
        "held_out_interval": [judgement.low, judgement.high],
        "would_be_kept": judgement.improved,
        "trained_share": done.share,
        "graph": None if done.card is None or done.card.onnx is None else done.card.onnx.precision,
        "mining_s": [two - one for one, two in zip(begun, mined, strict=True)],
        "adapting_s": [two - one for one, two in zip(mined, ended, strict=True)],
        "indexing_times_real": [before.times_real, after.times_real],
    }
    for pose in options.poses:
        result[pose] = difference(before, after, material, POSES[pose])
    return result


def opened(folder: Path, encoder: str) -> Library:
    """What `index` left there."""

    def none(name: str) -> Any:
        raise AssertionError(f"nothing is embedded, got {name!r}")

    return Library(
        folder,
        decoder=DirectDecoder(),
        segmenter=SpeechSegmenter(SileroDetector(), SpanPlan()),
        embedder_for=none,
        default_encoder=encoder,
        roots=[Path("/")],
    )


def difference(
    before: Indexed, after: Indexed, material: Material, pose: Callable[[Query], QueryAudio]
) -> dict[str, Any]:
    """MAP of both and the 95 % interval of their difference, by keyword and by query; and what a search costs
    with each, in seconds of processor."""
    keywords = [query.keyword for query in material.main]
    single, both, cost = [], [], []
    for indexed in (before, after):
        begun = time.process_time()
        judged = ask(Search(indexed, material, SearchSettings()), material.main, material, pose).judged
        cost.append((time.process_time() - begun) / len(judged))
        single.append([average_precision(one.right, one.relevant) for one in judged])
        both.append(by_keyword(keywords, single[-1]))
    gains = {keyword: both[1][keyword] - value for keyword, value in both[0].items()}
    own = {str(number): two - one for number, (one, two) in enumerate(zip(*single, strict=True))}
    return {
        "map_before": float(np.mean(list(both[0].values()))),
        "map_after": float(np.mean(list(both[1].values()))),
        "interval": bootstrap_interval(gains, np.random.default_rng(0)),
        "keywords": len(gains),
        "by_query_before": float(np.mean(single[0])),
        "by_query_after": float(np.mean(single[1])),
        "by_query_interval": bootstrap_interval(own, np.random.default_rng(0)),
        "queries": len(own),
        "search_s": cost,
    }


def common_words(mined: MiningResult, paths: Sequence[str], material: Material) -> float:
    """Share of the pairs whose stretches have the same word under most of them, of pairs in recordings whose
    words are known; not a number where there are none, or no word is known twice."""
    known = {str(recording.path): recording.words for recording in material.recordings}
    counts = Counter(word.text for words in known.values() for word in words)
    if max(counts.values(), default=0) < 2:
        return float("nan")
    same = [
        words[0] == words[1]
        for pair in mined.pairs
        if None
        not in (words := [main_word(one, known[paths[one.recording]]) for one in (pair.first, pair.second)])
    ]
    return float(np.mean(same)) if same else float("nan")


def main_word(one: Stretch, words: Sequence[Word]) -> str | None:
    """The word that shares most with a stretch; None where none does."""
    start, stop = one.start / TICKS_PER_SECOND, one.stop / TICKS_PER_SECOND
    shared = {word.text: min(word.end, stop) - max(word.start, start) for word in words}
    best = max(shared, key=lambda text: shared[text], default=None)
    return best if best is not None and shared[best] > 0 else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", required=True, help="a transformer artifact, by name")
    parser.add_argument("--archives", nargs="+", choices=list(ARCHIVES), default=["czech", "spanish"])
    parser.add_argument("--poses", nargs="+", choices=list(POSES), default=list(POSES), help="of the queries")
    parser.add_argument("--minutes", type=float, default=adaptation.MINUTES)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int, default=MiningSettings().seeds)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    home = Path(os.environ.get("WORDSPOT_HOME", "~/.wordspot")).expanduser()
    console = Console(width=150)
    load_encoder(options.encoder, home)  # so that a wrong name is told at once
    results = []
    for name in options.archives:
        material = ARCHIVES[name](home)
        console.print(f"{name}\n{development.describe(material)}", highlight=False)
        result = adapted(name, material, options.encoder, home, options, console)
        results.append(result)
        low, high = result["held_out_interval"]
        console.print(
            f"{name}: held-out clusters {result['held_out_before']:.3f} -> {result['held_out_after']:.3f} "
            f"({low:+.3f} to {high:+.3f}, {result['trained_share']:g} of what was trained) after "
            f"{result['steps']} steps in {result['minutes']:.1f} min",
            highlight=False,
        )
        for stage in ("mining", "adapting"):
            busy, whole = result[f"{stage}_s"]
            console.print(f"{name}, {stage}: {whole:.0f} s, {busy:.0f} s of processor", highlight=False)
        for pose in options.poses:
            row = result[pose]
            low, high = row["interval"]
            console.print(
                f"{name}, {pose}: MAP {row['map_before']:.3f} -> {row['map_after']:.3f}, difference "
                f"{row['map_after'] - row['map_before']:+.3f} ({low:+.3f} to {high:+.3f}), "
                f"{row['keywords']} keywords; by query {row['by_query_before']:.3f} -> "
                f"{row['by_query_after']:.3f} (difference {row['by_query_interval'][0]:+.3f} to "
                f"{row['by_query_interval'][1]:+.3f}), {row['queries']} queries; a search "
                f"{1e3 * row['search_s'][0]:.0f} -> {1e3 * row['search_s'][1]:.0f} ms of processor",
                highlight=False,
            )
        OUTPUT.parent.mkdir(parents=True, exist_ok=True)
        OUTPUT.write_text(json.dumps(results, indent=1) + "\n")
    console.print(f"written to {OUTPUT}")


if __name__ == "__main__":
    main()
