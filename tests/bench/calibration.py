"""How far P(correct) and the decision can be trusted: `python -m tests.bench.calibration --encoder NAME`.

Asks every query of the development archives, and words that they do not hold, fits the calibration of
indexer/search/calibration.py on all archives but one, without that one's keywords, and judges it on the one
left out; so every figure is of an archive, and of words, that it was not fitted on. The archives: the
held-out scenes of the Queen, Drascula, Asterisk's prompts, the small fish of Fish Fillets and all its others,
the last two left out together. Each is asked as a whole and as minutes of it drawn at random, by words cut
from their sentences, marked in them, and by several examples at once.

    --write CARD    fits on all archives and puts the coefficients into this card.json
    --plot PNG      the reliability diagram
    --reuse         does not ask again, where build/bench/calibration holds the answers

Expected calibration error (Naeini, Cooper and Hauskrecht 2015) is over the first TOP places of every query,
those that a search shows; over all places it would be small whatever the fit, for nearly all are wrong. The
figures go to build/bench/calibration/NAME.json.
"""

from __future__ import annotations

import argparse
import json
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from sklearn.linear_model import LogisticRegression

from tests.bench import material as development
from tests.bench.material import Material, Query
from tests.bench.metrics import (
    Judged,
    Places,
    actual_twv,
    average_precision,
    calibration_error,
    equal_counts,
    equal_widths,
    keyword_mean,
    match,
    maximum_twv,
    reliability,
)
from tests.bench.retrieval import in_context, isolated, show
from tests.bench.systems import Indexed, index
from wordspot.indexer.archive.view import ArchiveView
from wordspot.indexer.records import QueryAudio, SearchOptions
from wordspot.indexer.search.calibration import (
    MEASURED,
    SIGNALS,
    Calibration,
    decision_threshold,
    signal_table,
    standardised,
)
from wordspot.indexer.search.finder import Finder
from wordspot.indexer.search.fusion import find_by_examples
from wordspot.indexer.search.query import EmbeddedQuery, embed_query
from wordspot.indexer.search.settings import DEFAULT_THRESHOLD, SearchSettings
from wordspot.models import registry
from wordspot.models.artifact import CARD, write_whole

OUTPUT = Path("build/bench/calibration")
TOP = 10
BINS = 10
ALL_KEPT = 100  # places of each ranking; of those behind every THINNING-th
THINNING = 10
MINUTES = 8.0
EVERY = 3  # of the queries, where searches are spared
ABSENT = 45
RANKED = 320
FITTED_PLACES = 50  # of each ranking
STRENGTH = 0.1  # inverse, of the regularisation
# All are equal for the places of one query but the score, so that P never changes the order of a ranking.
CHOSEN = ("score", "speech", "examples", "rivals", "fall", "query_change", "usual_cost")
SETS = {
    "the score": ("score",),
    "and speech searched, examples": ("score", "speech", "examples"),
    "and rivals, fall": ("score", "speech", "examples", "rivals", "fall"),
    "and the query's (chosen)": CHOSEN,
    "and the place's": (*CHOSEN, "cost", "example", "similarity", "stretch"),
    "every signal": SIGNALS,
}

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Archive:
    """group: what is left out together. recordings: those of `material` that belong to it, by id."""

    name: str
    group: str
    material: Material
    whole: str

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(str(recording.path) for recording in self.material.recordings)


@dataclass(frozen=True)
class Ranking:
    """One query's places, best first, those far down thinned.

    table: (n, len(SIGNALS)). shares (n,): how many places each stands for. relevant: occurrences, 0 for a
    word that is not there. seconds: searched.
    """

    archive: str
    group: str
    pose: str
    keyword: str
    table: Doubles
    right: Flags
    shares: Doubles
    relevant: int
    seconds: float

    @property
    def score(self) -> Doubles:
        return self.table[:, SIGNALS.index("score")]

    def judged(self, score: Doubles, detected: Flags) -> Judged:
        """With these scores in the place of its own."""
        order = np.argsort(-score, kind="stable")
        none = np.zeros(0, dtype=np.bool_)
        return Judged(
            self.keyword,
            self.right[order],
            score[order],
            detected[order],
            self.relevant,
            none,
            0,
            self.seconds,
        )


def archives(home: Path) -> Iterator[Archive]:
    english = development.prepare(home)
    for source in ("queen", "drascula"):
        part = development.restricted(english, lambda one, source=source: one.id.startswith(f"{source}/"))
        yield Archive(source, source, part, "english")
    yield Archive("asterisk", "asterisk", development.prepare_asterisk(home), "asterisk")
    yield Archive("others", "fillets", development.prepare_czech(home), "czech")
    yield Archive("small fish", "fillets", development.prepare_small_fish(home), "small-fish")


def some_minutes(archive: Archive, minutes: float = MINUTES) -> Archive:
    """Recordings drawn until they are so long."""
    rng = np.random.default_rng(zlib.crc32(archive.name.encode()))
    recordings = archive.material.recordings
    chosen, seconds = set(), 0.0
    for number in rng.permutation(len(recordings)).tolist():
        if seconds >= 60 * minutes:
            break
        chosen.add(recordings[number].id)
        seconds += recordings[number].seconds
    part = development.restricted(archive.material, lambda one: one.id in chosen)
    return replace(archive, name=f"{archive.name}, {minutes:g} min", material=part)


class Asked:
    """Rankings of an archive with their signals."""

    def __init__(self, archive: Archive, indexed: Indexed, embedded: dict[tuple[str, str], EmbeddedQuery]):
        self._archive = archive
        self._embedder = indexed.embedder
        self._view = _only(indexed.view, archive.paths)
        ordinals = {str(one.path): n for n, one in enumerate(archive.material.recordings)}
        self._ordinals = {entry.id: ordinals[entry.path] for entry in self._view.recordings if entry.alive}
        self._names = {number: name for name, number in self._ordinals.items()}
        self._finder = Finder(SearchSettings())
        self._embedded = embedded

    def of(self, pose: str, queries: Sequence[Query]) -> Ranking:
        """queries: examples of one keyword, judged by the first."""
        material, query = self._archive.material, queries[0]
        excluded = frozenset(self._names[material.ordinals[name]] for name in query.excluded)
        options = SearchOptions(top=RANKED, include_undetected=True, excluded=excluded)
        spoken = [self._heard(pose, one) for one in queries]
        outcome = find_by_examples(self._finder, self._view, spoken, options)
        hits = outcome.hits
        score = np.array([hit.score for hit in hits]) - outcome.score_shift
        measured = np.empty((0, len(MEASURED))) if outcome.measured is None else outcome.measured
        places = Places(
            np.array([self._ordinals[hit.recording] for hit in hits], dtype=np.int64),
            np.array([hit.start for hit in hits]),
            np.array([hit.end for hit in hits]),
        )
        # In the ranking's own order: the finder puts what it detects first.
        order = np.argsort(-score, kind="stable")
        right = match(places[order], material.truth(query)) >= 0
        rows = np.arange(len(hits))
        kept = (rows < ALL_KEPT) | (rows % THINNING == 0)
        return Ranking(
            archive=self._archive.name,
            group=self._archive.group,
            pose=pose,
            keyword=query.keyword,
            table=signal_table(
                score[order], measured[order], examples=len(queries), shift=outcome.score_shift
            )[kept],
            right=right[kept],
            shares=np.where(rows < ALL_KEPT, 1.0, THINNING)[kept],
            relevant=len(query.truth),
            seconds=outcome.seconds,
        )

    def _heard(self, pose: str, query: Query) -> EmbeddedQuery:
        spoken: Callable[[Query], QueryAudio] = in_context if pose == "in context" else isolated
        key = (spoken.__name__, str(query.cut))
        if key not in self._embedded:
            self._embedded[key] = embed_query(spoken(query), self._embedder)
        return self._embedded[key]


def _only(view: ArchiveView, paths: frozenset[str]) -> ArchiveView:
    """The same archive as if all other recordings were deleted."""
    entries = tuple(replace(entry, alive=entry.path in paths) for entry in view.recordings)
    return replace(view, recordings=entries)


def collect(encoder: str, home: Path, console: Console) -> list[Ranking]:
    rankings: list[Ranking] = []
    known: dict[str, Indexed] = {}
    embedded: dict[tuple[str, str], EmbeddedQuery] = {}
    english = development.prepare(home)
    for archive in archives(home):
        if archive.whole not in known:
            # English is one index for both of its archives.
            material = english if archive.whole == "english" else archive.material
            folder = home / "bench" / "calibration" / f"{encoder}-{archive.whole}"
            known = {archive.whole: index(material, encoder, folder, home)}
        for part in (archive, some_minutes(archive)):
            asked = Asked(part, known[archive.whole], embedded)
            rankings += ask_all(asked, part)
            console.print(f"{part.name}: {len(rankings)} rankings so far", highlight=False)
    return rankings


def ask_all(asked: Asked, archive: Archive) -> list[Ranking]:
    """The queries alone, and what never occurs; some in context, and some keywords by all their examples."""
    material, whole = archive.material, "min" not in archive.name
    by_keyword: dict[str, list[Query]] = {}
    for query in material.main:
        by_keyword.setdefault(query.keyword, []).append(query)
    several = [queries for queries in by_keyword.values() if len(queries) > 1]
    step = 1 if whole else EVERY
    alone = [*material.main[::step], *material.absent[: ABSENT // step]]
    rankings = [asked.of("isolated", [query]) for query in alone]
    if whole:
        rankings += [asked.of("in context", [query]) for query in material.main[::EVERY]]
        rankings += [asked.of("together", queries) for queries in several[::EVERY]]
    return rankings


def save(rankings: Sequence[Ranking], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    named = [
        {key: value for key, value in vars(one).items() if not isinstance(value, np.ndarray)}
        for one in rankings
    ]
    np.savez_compressed(
        path,
        named=json.dumps(named),
        counts=[len(one.right) for one in rankings],
        signals=SIGNALS,
        **{
            key: np.concatenate([getattr(one, key) for one in rankings])
            for key in ("table", "right", "shares")
        },
    )


def load(path: Path) -> list[Ranking]:
    """Raises ValueError if other signals were measured then."""
    with np.load(path) as file:
        if tuple(file["signals"]) != SIGNALS:
            raise ValueError(f"{path} holds the signals {', '.join(file['signals'])}; ask again")
        cuts = np.cumsum(file["counts"])[:-1]
        arrays = [np.split(file[key], cuts) for key in ("table", "right", "shares")]
        return [
            Ranking(**named, table=table, right=right, shares=shares)
            for named, table, right, shares in zip(json.loads(str(file["named"])), *arrays, strict=True)
        ]


def fit(rankings: Sequence[Ranking], signals: Sequence[str] = CHOSEN) -> Calibration:
    """On the first places of each; every archive weighs the same, whatever the number of its queries."""
    columns = [SIGNALS.index(name) for name in signals]
    table = np.concatenate([one.table[:FITTED_PLACES] for one in rankings])
    right = np.concatenate([one.right[:FITTED_PLACES] for one in rankings])
    counts = Counter(one.archive for one in rankings)
    weights = np.concatenate(
        [np.full(len(one.right[:FITTED_PLACES]), 1 / counts[one.archive]) for one in rankings]
    )
    weights /= weights.mean()
    means = np.average(table[:, columns], axis=0, weights=weights)
    scales = np.sqrt(np.average((table[:, columns] - means) ** 2, axis=0, weights=weights))
    scales = np.where(scales > 1e-9, scales, 1.0)
    model = LogisticRegression(C=STRENGTH, max_iter=1_000)
    model.fit(standardised(table, signals, means, scales), right, sample_weight=weights)
    return Calibration(
        signals=tuple(signals),
        means=tuple(means.tolist()),
        scales=tuple(scales.tolist()),
        weights=tuple(model.coef_[0].tolist()),
        intercept=float(model.intercept_[0]),
        fitted_on=(
            f"queries {', '.join(sorted({one.pose for one in rankings}))} and words never said, in "
            f"{'; '.join(sorted({one.archive for one in rankings}))}"
        ),
    )


def cross_fitted(rankings: Sequence[Ranking], signals: Sequence[str] = CHOSEN) -> list[Doubles]:
    """P(correct) of every place by a fit without its archive's group and without the keywords asked there."""
    found: dict[int, Doubles] = {}
    for group in sorted({one.group for one in rankings}):
        keywords = {one.keyword for one in rankings if one.group == group}
        others = [one for one in rankings if one.group != group and one.keyword not in keywords]
        calibration = fit(others, signals)
        for number, one in enumerate(rankings):
            if one.group == group:
                found[number] = calibration.probabilities(one.table)
    return [found[number] for number in range(len(rankings))]


def keyword_specific(ranking: Ranking, probability: Doubles) -> float:
    """The level of P that this query's own ranking asks for."""
    return decision_threshold(np.repeat(probability, ranking.shares.astype(np.int64)), ranking.seconds)


def table_row(
    name: str, rankings: Sequence[Ranking], probabilities: Sequence[Doubles], threshold: float, level: float
) -> dict[str, Any]:
    """threshold: of the score. level: one of P for all queries, chosen on other archives."""
    shown = np.concatenate([p[:TOP] for p in (np.sort(p)[::-1] for p in probabilities)])
    right = np.concatenate(
        [
            one.right[np.argsort(-p, kind="stable")][:TOP]
            for one, p in zip(rankings, probabilities, strict=True)
        ]
    )
    present = [(one, p) for one, p in zip(rankings, probabilities, strict=True) if one.relevant]
    absent = [(one, p) for one, p in zip(rankings, probabilities, strict=True) if not one.relevant]
    own = {id(one): keyword_specific(one, p) for one, p in (*present, *absent)}
    by_score = [one.judged(one.score, one.score >= threshold) for one, _ in present]
    by_p = [one.judged(p, p >= own[id(one)]) for one, p in present]
    at_one = [one.judged(p, p >= level) for one, p in present]
    leveled = [
        one.judged(_odds(p) - _odds(np.array([own[id(one)]])), p >= own[id(one)]) for one, p in present
    ]
    detected = np.concatenate([one.right[p >= own[id(one)]] for one, p in (*present, *absent)])
    alarms = [np.count_nonzero(p >= own[id(one)]) / (one.seconds / 3600) for one, p in absent]
    before = [np.count_nonzero(one.score >= threshold) / (one.seconds / 3600) for one, _ in absent]
    keywords = [one.keyword for one, _ in present]
    return {
        "method": name,
        "rankings": len(rankings),
        "ece_width": calibration_error(shown, right, equal_widths(BINS)),
        "ece_count": calibration_error(shown, right, equal_counts(shown, BINS)),
        "right": float(right.mean()),
        "map": keyword_mean(keywords, [average_precision(j.right, j.relevant) for j in by_score]),
        "map_p": keyword_mean(keywords, [average_precision(j.right, j.relevant) for j in by_p]),
        "mtwv": maximum_twv(by_score)[0],
        "mtwv_p": maximum_twv(at_one)[0],
        "mtwv_own": maximum_twv(leveled)[0],
        "atwv": actual_twv(by_score),
        "atwv_one": actual_twv(at_one),
        "atwv_own": actual_twv(by_p),
        "precision": float(detected.mean()) if len(detected) else None,
        "alarms": float(np.mean(alarms)) if alarms else None,
        "alarms_before": float(np.mean(before)) if before else None,
    }


COLUMNS = {
    "method": "archive, query",
    "rankings": "rankings",
    "ece_width": "ECE, width",
    "ece_count": "count",
    "right": f"right of {TOP}",
    "map": "MAP",
    "map_p": "by P",
    "mtwv": "MTWV",
    "mtwv_p": "by P",
    "mtwv_own": "by odds",
    "atwv": "ATWV",
    "atwv_one": "one P",
    "atwv_own": "own P",
    "precision": "precision",
    "alarms_before": "alarms/h",
    "alarms": "own P",
}


def _odds(probability: Doubles) -> Doubles:
    clipped = np.clip(probability, 1e-12, 1 - 1e-12)
    odds: Doubles = np.log(clipped / (1 - clipped))
    return odds


def report(
    rankings: Sequence[Ranking], probabilities: Sequence[Doubles], threshold: float
) -> list[dict[str, Any]]:
    """A row for each archive and way to ask. The level of P for all is the best on the other archives."""
    rows = []
    levels = {
        group: best_level(
            [(one, p) for one, p in zip(rankings, probabilities, strict=True) if one.group != group]
        )
        for group in {one.group for one in rankings}
    }
    for archive, pose in sorted({(one.archive, one.pose) for one in rankings}):
        some = [
            (one, p)
            for one, p in zip(rankings, probabilities, strict=True)
            if (one.archive, one.pose) == (archive, pose)
        ]
        ones, ps = [one for one, _ in some], [p for _, p in some]
        rows.append(table_row(f"{archive}, {pose}", ones, ps, threshold, levels[ones[0].group]))
    return rows


def ablation(rankings: Sequence[Ranking], threshold: float) -> list[dict[str, Any]]:
    """What each set of signals gives, over all archives as wholes. Figures are means over these and the ways
    to ask, the calibration error is of all places together."""
    rows = []
    for name, signals in SETS.items():
        probabilities = cross_fitted(rankings, signals)
        shown, right = shown_of(rankings, probabilities)
        of_wholes = [
            row for row in report(rankings, probabilities, threshold) if " min, " not in row["method"]
        ]
        figures = {
            key: float(np.mean([row[key] for row in of_wholes if row[key] is not None]))
            for key in COLUMNS
            if key not in ("method", "rankings")
        }
        errors = {
            "ece_width": calibration_error(shown, right, equal_widths(BINS)),
            "ece_count": calibration_error(shown, right, equal_counts(shown, BINS)),
        }
        rows.append({"method": name, "rankings": len(rankings), **figures, **errors})
    return rows


def best_level(some: Sequence[tuple[Ranking, Doubles]]) -> float:
    """The level of P with the best term-weighted value."""
    return maximum_twv([one.judged(p, p > 1) for one, p in some if one.relevant])[1]


def plot(probability: Doubles, right: Flags, title: str, path: Path) -> None:
    """The reliability diagram, with how many places each point stands for."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    points = np.array(reliability(probability, right, equal_widths(BINS)))
    error = calibration_error(probability, right, equal_widths(BINS))
    figure, (upper, lower) = pyplot.subplots(
        2, 1, figsize=(4.5, 5.5), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    upper.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    upper.plot(points[:, 0], points[:, 1], marker="o", color="#1f5f8b")
    upper.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1), title=title)
    upper.text(0.04, 0.9, f"expected calibration error {error:.3f}")
    lower.bar(points[:, 0], points[:, 2], width=0.06, color="#1f5f8b")
    lower.set(xlabel="P(correct)", ylabel="places", yscale="log")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def write_card(path: Path, calibration: Calibration) -> None:
    """Leaves everything else of the card as it is."""
    card = json.loads(path.read_text())
    card["calibration"] = asdict(calibration)
    write_whole(path, (json.dumps(card, indent=2) + "\n").encode())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--write", type=Path, metavar="CARD")
    parser.add_argument("--plot", type=Path, metavar="PNG")
    parser.add_argument("--reuse", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    home = Path(os.environ.get("WORDSPOT_HOME", "~/.wordspot")).expanduser()
    console = Console(width=190)
    card = registry.find(arguments.encoder, home) / CARD
    threshold = json.loads(card.read_text()).get("detection_threshold") or DEFAULT_THRESHOLD
    answers = OUTPUT / f"{card.parent.name}.npz"
    if arguments.reuse and answers.exists():
        rankings = load(answers)
    else:
        rankings = collect(arguments.encoder, home, console)
        save(rankings, answers)
    probabilities = cross_fitted(rankings)
    rows = report(rankings, probabilities, threshold)
    show("P(correct) on archives and words that it was not fitted on", rows, COLUMNS, console)
    sets = ablation(rankings, threshold)
    show("Signals", sets, COLUMNS, console)
    shown, right = shown_of(rankings, probabilities)
    diagrams = {"equal width": equal_widths(BINS), "equal count": equal_counts(shown, BINS)}
    for name, edges in diagrams.items():
        console.print(f"all archives, bins of {name}: ECE {calibration_error(shown, right, edges):.3f}")
        for mean, share, count in reliability(shown, right, edges):
            console.print(f"  P {mean:.3f}  right {share:.3f}  of {count:,}", highlight=False)
    calibration = fit(rankings)
    for name, weight in zip(calibration.signals, calibration.weights, strict=True):
        console.print(f"  {name:15s} {weight:+.3f}", highlight=False)
    (OUTPUT / f"{card.parent.name}.json").write_text(
        json.dumps({"rows": rows, "signals": sets}, indent=1) + "\n"
    )
    if arguments.plot:
        plot(shown, right, f"{card.parent.name}: archives it was not fitted on", arguments.plot)
    if arguments.write:
        write_card(arguments.write, calibration)
        console.print(f"written to {arguments.write}")


def shown_of(rankings: Sequence[Ranking], probabilities: Sequence[Doubles]) -> tuple[Doubles, Flags]:
    """P of the first TOP places of every query, and which are right."""
    orders = [np.argsort(-p, kind="stable")[:TOP] for p in probabilities]
    return (
        np.concatenate([p[order] for p, order in zip(probabilities, orders, strict=True)]),
        np.concatenate([one.right[order] for one, order in zip(rankings, orders, strict=True)]),
    )


if __name__ == "__main__":
    main()
