"""The development archives and their queries: `python -m tests.bench.material` prepares and counts them.

English archive: the held-out scenes of Flight of the Amazon Queen and all of Drascula, those clips whose
word times are known; every clip is a recording.

Main queries are words cut from Asterisk's English prompts, from Hedgewars' taunts and from training scenes of
the Queen, the latter only by characters who speak in no held-out scene. Who speaks in the Queen's cutscenes
is not told, so a cutscene that holds the word is neither right nor wrong for a query by a Queen's character:
it is not ranked. Nor is it told whether one actor lent his voice to several characters. One query a speaker
and three a keyword at most, from different sources where there are.

Same-speaker queries are cut from training scenes by characters who do speak in the archive; places where
somebody else says the word are not ranked. Absent queries are words that the archive holds neither whole
nor as a part of another word.

Czech archive: the big fish and the minor voices of Fish Fillets, those clips that could be aligned; the small
fish asks, up to three times a keyword, out of different clips. Nor is it told here whether the small fish's
actor lent his voice to a minor one.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, zip_longest
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from tests.bench.metrics import Places
from wordspot.models.datasets import alignments
from wordspot.models.datasets.fillets_cs import SMALL_FISH
from wordspot.models.datasets.speech import Clip, clips, load_mono, split

ANNOTATIONS = Path(__file__).parent / "annotations"
RATE = 16_000
SHORTEST_KEYWORD = 5
SHORTEST_QUERY_S, LONGEST_QUERY_S = 0.25, 1.5
FEWEST, MOST = 5, 45
# Czech inflects: a word's forms are different tokens.
FEWEST_CZECH = 4
FEWEST_SAME_SPEAKER = 3
FEWEST_PROMPTS = 2
QUERIES_A_KEYWORD = 3
ABSENT_QUERIES = 60
MARGIN_S = 0.05
SHORTEST_BABBLE_S = 1.5
TALKERS = 6
QUIET_DECIBELS = -30.0

# Prepositions, conjunctions, pronouns, determiners and auxiliaries of five letters or more.
_ENGLISH = """
    about above across after against along although among another anybody anyone anything around because
    before behind below beneath beside besides between beyond cannot could during either every everybody
    everyone everything except gonna gotta having herself himself inside itself might myself neither nobody
    nothing other others ought ourselves outside shall should since somebody someone something their theirs
    themselves there these those though through toward towards under unless until whatever where whether
    which while whoever whose within without would yours yourself
"""
_CZECH = """
    abych abychom abyste bude budem budeme budete budeš budou bychom byla bylo byly byste během jakou
    jakého jakým jeden jedna jedno jejich jejího jelikož jemuž jestli kdyby kdybych kdybychom kdybys
    kdybyste kolem kterou která které kterého kterém kterému který kterých kterým kterými kteří mezitím
    mohla mohli mohlo mohly mohou možno musel musela museli muset musím musíme musíte musíš místo můžeme
    můžete můžeš naše našeho našem našemu našich našimi naším nebude nebudeme nebudu nebyl nebyla nebyli
    nebylo nechť nejsem nejsi nejsme nejsou nejste nemůže nemůžeme nemůžu nikdo nikoho nikomu nějak
    nějakou nějaká nějaké nějakého nějaký nějakým někdo někoho někomu někým něčeho něčem něčemu něčím
    okolo oproti ovšem podle pokud proti proto protože přece před přesto sebou skrz svoje svojí svého
    svému svých svými tahle takovou taková takové takového takový takových takovým takže tenhle tento
    tobou tohle tohoto tomhle tomuto touto tuhle tvoje tvého tvému tvých tyhle těchto těmito všechen
    všechna všechno všechny všeho všemi všemu všichni vždyť zatímco žádnou žádná žádné žádného žádný
"""
FUNCTION_WORDS = frozenset(_ENGLISH.split()) | frozenset(_CZECH.split())

Samples = NDArray[np.float32]
NoiseKind = Literal["white", "pink", "babble"]
NOISE_KINDS: tuple[NoiseKind, ...] = ("white", "pink", "babble")
SNRS_DB = (0, 5, 10)


@dataclass(frozen=True)
class Word:
    """A word as said, lower case; start and end in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Recording:
    """One clip of the archive. speaker: `source/name`, None where nobody knows."""

    id: str
    path: Path
    seconds: float
    speaker: str | None
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Occurrence:
    recording: str
    start: float
    end: float


@dataclass(frozen=True)
class Query:
    """A spoken example of `keyword`.

    path, start, end: the recording that it was cut from and where, in seconds. cut: WAV of the word alone,
    with a margin of 50 ms. truth: where the archive says it. excluded: recordings that are not ranked.
    """

    id: str
    keyword: str
    source: str
    speaker: str
    path: Path
    start: float
    end: float
    cut: Path
    truth: tuple[Occurrence, ...]
    excluded: frozenset[str]


@dataclass(frozen=True)
class Material:
    """babble: clips of held-out scenes that are in no archive, to be mixed into noise."""

    recordings: tuple[Recording, ...]
    main: tuple[Query, ...]
    same_speaker: tuple[Query, ...]
    absent: tuple[Query, ...]
    babble: tuple[Path, ...]

    @cached_property
    def ordinals(self) -> dict[str, int]:
        """A recording's place in `recordings` by its id, as the metrics count them."""
        return {recording.id: number for number, recording in enumerate(self.recordings)}

    @cached_property
    def seconds(self) -> float:
        return sum(recording.seconds for recording in self.recordings)

    def searched_seconds(self, query: Query) -> float:
        """The archive without what is not ranked for this query."""
        return self.seconds - sum(self.recordings[self.ordinals[name]].seconds for name in query.excluded)

    def truth(self, query: Query) -> Places:
        return Places(
            recordings=np.array([self.ordinals[place.recording] for place in query.truth], dtype=np.int64),
            starts=np.array([place.start for place in query.truth], dtype=np.float64),
            ends=np.array([place.end for place in query.truth], dtype=np.float64),
        )


@dataclass(frozen=True)
class Spoken:
    """A word in a clip that could become a query."""

    clip: Clip
    speaker: str
    word: Word


def prepare(home: Path, packages: Path | None = None) -> Material:
    """The archive and all queries, their WAVs written under `home/datasets/development`.

    packages: folder of downloaded packages, as in `datasets.package.fetch`. Same packages, same material.
    """
    queen, drascula, asterisk, hedgewars = (
        clips(name, home, packages) for name in ("queen", "drascula", "asterisk_en", "hedgewars")
    )
    times = {name: read_words(name) for name in ("queen", "drascula", "asterisk_en")}
    held_out = [clip for clip in (*queen, *drascula) if split(clip) == "dev"]
    archive = tuple(
        Recording(clip.id, clip.path, clip.seconds, speaker_of(clip), words)
        for clip in held_out
        if (words := times[clip.source].get(clip.id))
    )
    training = [clip for clip in queen if split(clip) == "train" and clip.speaker is not None]
    known = {word.text for rows in times.values() for words in rows.values() for word in words}
    said = list(
        chain(
            aligned(asterisk, times["asterisk_en"]),
            aligned(training, times["queen"]),
            taunts(hedgewars, known),
        )
    )
    selection = select(archive, said)
    folder = home / "datasets/development"
    return Material(
        recordings=archive,
        main=tuple(_query(one, folder / "main", archive) for one in selection.main),
        same_speaker=tuple(
            _query(one, folder / "same", archive, same=True) for one in selection.same_speaker
        ),
        absent=tuple(_query(one, folder / "absent", archive) for one in selection.absent),
        babble=tuple(
            clip.path
            for clip in held_out
            if clip.id not in times[clip.source] and clip.seconds >= SHORTEST_BABBLE_S
        ),
    )


def prepare_czech(home: Path, packages: Path | None = None) -> Material:
    """The Czech archive and its queries, as `prepare` does it."""
    times = read_words("fillets_cs")
    told = once(clip for clip in clips("fillets_cs", home, packages) if clip.id in times)
    asking = [clip for clip in told if clip.speaker == SMALL_FISH]
    archive = tuple(
        Recording(clip.id, clip.path, clip.seconds, speaker_of(clip), times[clip.id])
        for clip in told
        if clip.speaker != SMALL_FISH
    )
    selection = select_czech(archive, list(aligned(asking, times)))
    folder = home / "datasets/development/czech"
    return Material(
        recordings=archive,
        main=tuple(
            _query(one, folder / "main", archive, mark=f"-{_shuffled(one)[:8]}") for one in selection.main
        ),
        same_speaker=(),
        absent=tuple(_query(one, folder / "absent", archive) for one in selection.absent),
        babble=(),
    )


def prepare_asterisk(home: Path, packages: Path | None = None) -> Material:
    """Asterisk's English prompts, all by one speaker, asked by the characters of Drascula and the Queen and
    by Hedgewars' taunts."""
    queen, drascula, asterisk, hedgewars = (
        clips(name, home, packages) for name in ("queen", "drascula", "asterisk_en", "hedgewars")
    )
    times = {name: read_words(name) for name in ("queen", "drascula", "asterisk_en")}
    known = {word.text for rows in times.values() for words in rows.values() for word in words}
    archive = tuple(
        Recording(clip.id, clip.path, clip.seconds, speaker_of(clip), times[clip.source][clip.id])
        for clip in once(clip for clip in asterisk if clip.id in times[clip.source])
    )
    said = chain(
        aligned(drascula, times["drascula"]), aligned(queen, times["queen"]), taunts(hedgewars, known)
    )
    selection = select(archive, list(said), fewest=FEWEST_PROMPTS)
    folder = home / "datasets/development/asterisk"
    return Material(
        recordings=archive,
        main=tuple(_query(one, folder / "main", archive) for one in selection.main),
        same_speaker=(),
        absent=tuple(_query(one, folder / "absent", archive) for one in selection.absent),
        babble=(),
    )


def prepare_small_fish(home: Path, packages: Path | None = None) -> Material:
    """The Czech archive the other way round: all others ask, the small fish has said it."""
    times = read_words("fillets_cs")
    told = once(clip for clip in clips("fillets_cs", home, packages) if clip.id in times)
    archive = tuple(
        Recording(clip.id, clip.path, clip.seconds, speaker_of(clip), times[clip.id])
        for clip in told
        if clip.speaker == SMALL_FISH
    )
    asking = [clip for clip in told if clip.speaker not in (SMALL_FISH, None)]
    selection = select_czech(archive, list(aligned(asking, times)))
    folder = home / "datasets/development/small-fish"
    return Material(
        recordings=archive,
        main=tuple(
            _query(one, folder / "main", archive, mark=f"-{_shuffled(one)[:8]}") for one in selection.main
        ),
        same_speaker=(),
        absent=tuple(_query(one, folder / "absent", archive) for one in selection.absent),
        babble=(),
    )


def restricted(material: Material, keep: Callable[[Recording], bool]) -> Material:
    """As if the archive had only these recordings: what they do not hold is absent."""
    recordings = tuple(recording for recording in material.recordings if keep(recording))
    kept = {recording.id for recording in recordings}
    main = [
        replace(
            query,
            truth=tuple(place for place in query.truth if place.recording in kept),
            excluded=query.excluded & kept,
        )
        for query in material.main
    ]
    return replace(
        material,
        recordings=recordings,
        main=tuple(query for query in main if query.truth),
        same_speaker=(),
        absent=(*material.absent, *(query for query in main if not query.truth)),
    )


def prepare_spanish(home: Path, packages: Path | None = None) -> Material:
    """A Spanish archive, of which no word times are known: the Asterisk prompts by Allison, and July asks, in
    whole prompts. Right is the short prompt of the same name; what else holds the phrase counts as wrong."""
    told = once(clips("asterisk_es", home, packages))
    archive = tuple(
        Recording(
            clip.id, clip.path, clip.seconds, speaker_of(clip), tuple(one.word for one in whole([clip]))
        )
        for clip in told
    )
    present = {word.text for recording in archive for word in recording.words}
    folder = home / "datasets/development/spanish"
    asked = (one for one in whole(once(clips("asterisk_es_co", home, packages))) if one.word.text in present)
    return Material(
        recordings=archive,
        main=tuple(_query(one, folder / "main", archive) for one in asked),
        same_speaker=(),
        absent=(),
        babble=(),
    )


def whole(some: Iterable[Clip]) -> Iterator[Spoken]:
    """Clips as long as a query may be, the stretch that sounds as a word called by the clip's name."""
    for clip in some:
        start, end = sounding(*load_mono(clip.path))
        name = clip.id.partition("/")[2].replace("/", "-")
        if SHORTEST_QUERY_S <= end - start <= LONGEST_QUERY_S:
            yield Spoken(clip, str(speaker_of(clip)), Word(name, start, end))


def once(some: Iterable[Clip]) -> list[Clip]:
    """The first clip of each sound: some levels share theirs."""
    first: dict[bytes, Clip] = {}
    for clip in some:
        first.setdefault(hashlib.sha256(clip.path.read_bytes()).digest(), clip)
    return list(first.values())


def read_words(source: str) -> dict[str, tuple[Word, ...]]:
    """Word times by clip id out of the annotation file of a source."""
    folder = alignments.FOLDER if source == "queen" else ANNOTATIONS
    with gzip.open(folder / f"{source}_words.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return {f"{source}/{row['id']}": tuple(Word(*word) for word in row["words"]) for row in rows}


def speaker_of(clip: Clip) -> str | None:
    return f"{clip.source}/{clip.speaker}" if clip.speaker is not None else None


def aligned(some: Iterable[Clip], times: dict[str, tuple[Word, ...]]) -> Iterator[Spoken]:
    """Every word of clips by known speakers that is fit to ask with."""
    for clip in some:
        speaker = speaker_of(clip)
        for word in times.get(clip.id, ()):
            if speaker is not None and usable(word):
                yield Spoken(clip, speaker, word)


def taunts(some: Iterable[Clip], known: Collection[str]) -> Iterator[Spoken]:
    """Clips whose label is one word, as opposed to a phrase; the stretch that sounds is the word.

    known: the words of all transcripts; labels have no spaces, so what is none of these may be a phrase.
    """
    for clip in some:
        speaker = speaker_of(clip)
        if clip.text is None or clip.text not in known or speaker is None:
            continue
        start, end = sounding(*load_mono(clip.path))
        word = Word(clip.text, start, end)
        if usable(word):
            yield Spoken(clip, speaker, word)


def usable(word: Word) -> bool:
    return is_keyword(word.text) and SHORTEST_QUERY_S <= word.end - word.start <= LONGEST_QUERY_S


def is_keyword(text: str) -> bool:
    return len(text) >= SHORTEST_KEYWORD and text.isalpha() and text not in FUNCTION_WORDS


def sounding(samples: Samples, rate: int) -> tuple[float, float]:
    """From the first to the last 10 ms that lie within 30 dB of the loudest, in seconds."""
    step = rate // 100
    frames = samples[: len(samples) // step * step].reshape(-1, step)  # (frames, step)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    loud = np.flatnonzero(power >= power.max() * 10 ** (QUIET_DECIBELS / 10))
    return int(loud[0]) * step / rate, int(loud[-1] + 1) * step / rate


@dataclass(frozen=True)
class Selection:
    main: tuple[Spoken, ...]
    same_speaker: tuple[Spoken, ...]
    absent: tuple[Spoken, ...]


def select(archive: Sequence[Recording], said: Sequence[Spoken], fewest: int = FEWEST) -> Selection:
    """Which spoken words become queries. Choices follow a hash of the clip, not chance.

    fewest: occurrences of a keyword.
    """
    counts = Counter(word.text for recording in archive for word in recording.words)
    keywords = {text for text, count in counts.items() if is_keyword(text) and fewest <= count <= MOST}
    present = {recording.speaker for recording in archive}
    strangers = [one for one in said if one.speaker not in present]
    residents = [one for one in said if one.speaker in present]

    main = [
        one
        for text, group in _by_text(strangers)
        if text in keywords
        for one in _mixed(group)
        if len(truth_of(one, archive)) >= fewest
    ]
    taken: Counter[str] = Counter()
    chosen = []
    for one in main:
        if taken[one.word.text] < QUERIES_A_KEYWORD:
            taken[one.word.text] += 1
            chosen.append(one)
    same = [
        one
        for text, group in _by_text(residents)
        if text in keywords
        for one in _mixed(group)
        if len(truth_of(one, archive, same=True)) >= FEWEST_SAME_SPEAKER
    ]
    return Selection(tuple(chosen), tuple(same), absent_of(strangers, counts))


def select_czech(archive: Sequence[Recording], said: Sequence[Spoken]) -> Selection:
    """As `select`, of words by one speaker who is not in the archive."""
    counts = Counter(word.text for recording in archive for word in recording.words)
    main = [
        one
        for text, group in _by_text(said)
        if FEWEST_CZECH <= counts[text] <= MOST
        for one in _one_a_clip(group)[:QUERIES_A_KEYWORD]
    ]
    return Selection(tuple(main), (), absent_of(said, counts))


def absent_of(said: Sequence[Spoken], counts: Collection[str]) -> tuple[Spoken, ...]:
    """counts: the words of the archive."""
    vocabulary = sorted(counts)
    absent = [_mixed(group)[0] for text, group in _by_text(said) if is_absent(text, vocabulary)]
    return tuple(sorted(absent, key=_shuffled)[:ABSENT_QUERIES])


def is_absent(text: str, vocabulary: Iterable[str]) -> bool:
    """Neither part of a word of the archive nor around one of keyword length."""
    return not any(
        text in known or (len(known) >= SHORTEST_KEYWORD and known in text) for known in vocabulary
    )


def truth_of(one: Spoken, archive: Sequence[Recording], *, same: bool = False) -> tuple[Occurrence, ...]:
    """Where the archive says the word: by anybody who is known to be another, or by the same speaker."""
    barred = excluded_for(one, archive, same=same)
    return tuple(
        Occurrence(recording.id, word.start, word.end)
        for recording in archive
        if recording.id not in barred
        for word in recording.words
        if word.text == one.word.text
    )


def excluded_for(one: Spoken, archive: Sequence[Recording], *, same: bool = False) -> frozenset[str]:
    """Recordings that hold the word but may not count.

    same: those by others; else those by nobody knows whom, if it could be the query's speaker.
    """
    holding = [
        recording for recording in archive if any(word.text == one.word.text for word in recording.words)
    ]
    if same:
        return frozenset(recording.id for recording in holding if recording.speaker != one.speaker)
    return frozenset(
        recording.id
        for recording in holding
        if recording.speaker is None and recording.id.startswith(f"{one.clip.source}/")
    )


def read(path: Path, start: float = 0.0, end: float = math.inf) -> Samples:
    """A stretch of a file, clipped to it, as float32 mono at 16 kHz."""
    samples, rate = load_mono(path)
    stretch = samples[max(round(start * rate), 0) : round(min(end, len(samples) / rate) * rate)]
    common = math.gcd(rate, RATE)
    return np.asarray(resample_poly(stretch, RATE // common, rate // common), dtype=np.float32)


def load_talkers(material: Material) -> list[Samples]:
    """The speech that babble is mixed from, at 16 kHz."""
    return [read(path) for path in material.babble]


def add_noise(
    samples: Samples,
    kind: NoiseKind,
    snr_db: float,
    rng: np.random.Generator,
    talkers: Sequence[Samples] = (),
) -> Samples:
    """Samples with noise at a ratio of mean powers, float32 (n,), never clipped.

    pink: power falls with 1/f. babble: six of `talkers` at equal power, each from a random place on,
    repeated where too short; they must have the samples' rate.
    """
    makers = {
        "white": lambda: rng.standard_normal(len(samples)),
        "pink": lambda: _pink(len(samples), rng),
        "babble": lambda: _babble(len(samples), talkers, rng),
    }
    if kind not in makers:
        raise ValueError(f"no noise of kind {kind!r}, there are {', '.join(makers)}")
    noise = makers[kind]()
    signal_power = float(np.mean(np.square(samples, dtype=np.float64)))
    noise_power = float(np.mean(np.square(noise)))
    scale = math.sqrt(signal_power / noise_power / 10 ** (snr_db / 10))
    return (samples + scale * noise).astype(np.float32)


def noisy(
    query: Query, samples: Samples, kind: NoiseKind, snr_db: float, talkers: Sequence[Samples] = ()
) -> Samples:
    """Noise that is the same whenever the same query is made noisy in the same way."""
    seed = hashlib.sha256(f"{query.id} {kind} {snr_db}".encode()).digest()
    return add_noise(samples, kind, snr_db, np.random.default_rng(list(seed)), talkers)


def _pink(length: int, rng: np.random.Generator) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(rng.standard_normal(length))
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), length)


def _babble(length: int, talkers: Sequence[Samples], rng: np.random.Generator) -> NDArray[np.float64]:
    if len(talkers) < TALKERS:
        raise ValueError(f"babble needs {TALKERS} talkers, got {len(talkers)}")
    mixture = np.zeros(length)
    for number in rng.choice(len(talkers), size=TALKERS, replace=False):
        speech = talkers[number].astype(np.float64)
        start = int(rng.integers(len(speech)))
        stretch = np.resize(np.roll(speech, -start), length)
        mixture += stretch / math.sqrt(float(np.mean(np.square(speech))))
    return mixture


def _by_text(some: Iterable[Spoken]) -> list[tuple[str, list[Spoken]]]:
    groups: dict[str, list[Spoken]] = defaultdict(list)
    for one in some:
        groups[one.word.text].append(one)
    return sorted(groups.items())


def _mixed(group: Iterable[Spoken]) -> list[Spoken]:
    """One a speaker, sources taking turns."""
    first: dict[str, Spoken] = {}
    for one in sorted(group, key=_shuffled):
        first.setdefault(one.speaker, one)
    sources: dict[str, list[Spoken]] = defaultdict(list)
    for one in first.values():
        sources[one.clip.source].append(one)
    turns = zip_longest(*(sources[name] for name in sorted(sources)))
    return [one for turn in turns for one in turn if one is not None]


def _one_a_clip(group: Iterable[Spoken]) -> list[Spoken]:
    first: dict[str, Spoken] = {}
    for one in sorted(group, key=_shuffled):
        first.setdefault(one.clip.id, one)
    return list(first.values())


def _shuffled(one: Spoken) -> str:
    return hashlib.sha256(f"{one.clip.id} {one.word.start}".encode()).hexdigest()


def _query(
    one: Spoken, folder: Path, archive: Sequence[Recording], *, same: bool = False, mark: str = ""
) -> Query:
    """mark: what tells a query from others of the same word by the same speaker."""
    identity = f"{one.word.text}-{one.speaker.replace('/', '-')}{mark}"
    cut = folder / f"{identity}.wav"
    _write_cut(one, cut)
    return Query(
        id=f"{folder.name}/{identity}",
        keyword=one.word.text,
        source=one.clip.source,
        speaker=one.speaker,
        path=one.clip.path,
        start=one.word.start,
        end=one.word.end,
        cut=cut,
        truth=truth_of(one, archive, same=same),
        excluded=excluded_for(one, archive, same=same),
    )


def _write_cut(one: Spoken, path: Path) -> None:
    samples, rate = load_mono(one.clip.path)
    start = max(round((one.word.start - MARGIN_S) * rate), 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    stretch = samples[start : round((one.word.end + MARGIN_S) * rate)]
    soundfile.write(partial, stretch, rate, format="WAV", subtype="PCM_16")
    partial.replace(path)


def describe(material: Material) -> str:
    """Counts, a line each."""
    lines = [
        f"archive       {material.seconds / 3600:.2f} h, {len(material.recordings):,} recordings, "
        f"{len({recording.speaker for recording in material.recordings} - {None})} known speakers"
    ]
    for name, queries in (
        ("main", material.main),
        ("same speaker", material.same_speaker),
        ("absent", material.absent),
    ):
        sources = Counter(query.source for query in queries)
        lines.append(
            f"{name:13s} {len({query.keyword for query in queries})} keywords, {len(queries)} queries by "
            f"{len({query.speaker for query in queries})} speakers, "
            f"{sum(len(query.truth) for query in queries):,} occurrences asked for; "
            + ", ".join(f"{source} {count}" for source, count in sorted(sources.items()))
        )
    occurrences = {place for query in material.main for place in query.truth}
    lines.append(f"occurrences   {len(occurrences):,} places in the archive hold a main keyword")
    lines.append(f"babble        {len(material.babble)} clips outside the archive")
    return "\n".join(lines)


def main() -> None:
    home = Path(os.environ.get("WORDSPOT_HOME", "~/.wordspot")).expanduser()
    print(describe(prepare(home)), describe(prepare_czech(home)), sep="\n\nCzech\n")


if __name__ == "__main__":
    main()
