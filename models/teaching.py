"""Recipes of the encoders that learn from words: the map on Whisper's frames, and the student of it.

    map      states of every clip -> pairs of words by two speakers -> contrast -> `whisper`
    student  every clip as `whisper` hears it clean -> `phonetic` hears it disturbed

All material comes from the data sets' packages. What takes long, hearing, is kept below `home/training` by
source, so that a training that was cut off does not hear again what it heard. Czech and Slovak are nowhere.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wordspot.models import artifact, registry, trainer
from wordspot.models.artifact import ArtifactCard, Metric
from wordspot.models.datasets import alignments, spectra, states, synthetic
from wordspot.models.datasets.spectra import Spectra, Teacher
from wordspot.models.datasets.speech import Clip, clips, split
from wordspot.models.datasets.states import FRAMES_PER_SECOND, Cut, States
from wordspot.models.encoders import whisper_weights
from wordspot.models.encoders.convolutional import ConvolutionalConfig
from wordspot.models.encoders.frame_map import MappedSpanModel
from wordspot.models.encoders.map_training import (
    Corpus,
    MapTraining,
    PairData,
    Token,
    average_precision,
    phone_rows,
    whiten,
)
from wordspot.models.encoders.phonetic import DistilBatch, DistilData, Phonetic
from wordspot.models.encoders.spans import SpanModel
from wordspot.models.encoders.whisper import Whisper, WhisperConfig
from wordspot.models.errors import BadInput
from wordspot.models.trainer import Plan, Progress

Report = Callable[[Progress], None]
Spans = Mapping[str, Sequence[tuple[str, float, float]]]

MAP_STEPS, STUDENT_STEPS = 1_000, 4_000
SHORTEST_WORD = 4  # letters of an acted word; what is shorter is mostly unstressed
SHORTEST_SYNTHETIC_WORD = 2
SHORTEST_SECONDS = 0.16
LONGEST_SYNTHETIC_SECONDS = 1.3
ALONE_SECONDS = (0.2, 1.2)
ALONE_A_WORD = 25
ALONE_MARGIN_SECONDS = 0.08
SAMPLED_EVERY = 37  # rows whose principal components whiten
STUDENT_SOURCES = ("queen", "festvox_ru", "tuxpaint", "synthetic")
STUDENT_CROPS = 32


def train_whisper(
    home: Path,
    out: Path,
    *,
    name: str = "whisper",
    weights: str = "base",
    resume: bool = False,
    seed: int = 0,
    steps: int | None = None,
    minutes: float | None = None,
    device: str = "cpu",
    report: Report = lambda progress: None,
) -> ArtifactCard:
    """Trains the map on Whisper's frames and writes the artifact.

    home: state folder (WORDSPOT_HOME). out: the artifact's folder; holds the checkpoint meanwhile. weights: a
    name out of whisper_weights.KNOWN; tiny.en hears English only.
    Raises DatasetError, MissingWeights, BadInput.
    """
    torch.manual_seed(seed)
    known = whisper_weights.named(weights)
    model = Whisper(WhisperConfig(weights=weights, states=known.states))
    data, phones, learned_from = word_pairs(model, home, seed)
    training = MapTraining(model, phones)
    validation = data.validation()
    before = average_precision(training, validation)
    plan = Plan(
        steps or MAP_STEPS,
        minutes,
        learning_rate=2e-3,
        warm_up=100,
        weight_decay=0.02,
        validate_every=100,
        seed=seed,
    )
    progress = trainer.fit(training, data, plan, out, device=device, resume=resume, report=report)
    training.to("cpu")
    card = ArtifactCard(
        name=name,
        model="whisper",
        config={},
        weights_sha256="",
        description=(
            f"Frames of Whisper {weights}, mapped by a small network to what tells words apart; Whisper's "
            "own weights are not part of it."
        ),
        source="Radford et al. 2022 (Whisper); supervised contrastive loss: Khosla et al. 2020",
        data={
            "note": (
                "word pairs of Flight of the Amazon Queen (training scenes, forced alignment of the "
                "subtitles) and of synthetic speech; phones of the former; whitening from the Queen and "
                "from Russian (festvox-ru); no Czech, no Slovak"
            ),
            **learned_from,
            "whisper_sha256": known.sha256,
        },
        supervision=(
            "word and phone times of the Queen's training scenes, word times of synthetic speech; Whisper "
            "itself was trained on 680,000 h of transcribed speech"
        ),
        scale="a map of 0.3 million weights on a frozen encoder",
        licence="Apache-2.0 for this map; Whisper's weights: MIT",
        seed=seed,
        budget=_budget(plan, progress),
        metrics=(
            Metric("held_out_words_ap", average_precision(training, validation), floor=0.0, baseline=before),
        ),
    )
    card = artifact.save(model, card, out, half=True)
    (out / trainer.CHECKPOINT).unlink(missing_ok=True)
    return card


def train_phonetic(
    home: Path,
    out: Path,
    *,
    name: str = "phonetic",
    teacher: str = "whisper",
    resume: bool = False,
    seed: int = 0,
    steps: int | None = None,
    minutes: float | None = None,
    device: str = "cpu",
    report: Report = lambda progress: None,
) -> ArtifactCard:
    """Trains `phonetic` on what an artifact hears in the same clips, and writes it.

    home, out: as in `train_whisper`. teacher: an artifact's name or folder; its frames every 20 ms and its
    vectors have as many dimensions as the student's.
    Raises DatasetError, UnknownModel, DamagedArtifact, MissingWeights, BadInput.
    """
    torch.manual_seed(seed)
    config = ConvolutionalConfig()
    folder = registry.find(teacher, home)
    taught_by = artifact.read_card(folder)
    teaching: Any = artifact.restore(registry.model_class(taught_by.model), folder, taught_by)
    if not isinstance(teaching, MappedSpanModel) or _shape(teaching) != _shape(Phonetic(config)):
        raise BadInput(
            f"{teacher!r} is a {taught_by.model} that `phonetic` cannot learn from; `whisper` is allowed"
        )
    corpus, learned_from = taught(teaching, taught_by.hash, home)
    model = Phonetic(config)
    model.projection.load_state_dict(teaching.projection.state_dict())
    data = DistilData(corpus, model, seed, crops=STUDENT_CROPS)
    plan = Plan(steps or STUDENT_STEPS, minutes, learning_rate=2e-3, validate_every=100, seed=seed)
    progress = trainer.fit(model, data, plan, out, device=device, resume=resume, report=report)
    model.to("cpu")
    card = ArtifactCard(
        name=name,
        model="phonetic",
        config={},
        weights_sha256="",
        description=f"A small convolutional network that hears what {taught_by.name} hears, cheap on a CPU.",
        source="Hinton, Vinyals, Dean 2015 (distillation); Park et al., CVPR 2019 (relational distillation)",
        data={
            "note": "speech of the sources below, disturbed; no Czech, no Slovak",
            **learned_from,
            "sha256_of_names_and_lengths": corpus.sha256,
            "teacher": taught_by.name,
            "teacher_hash": taught_by.hash,
        },
        supervision=f"no labels of its own; by way of its teacher: {taught_by.supervision}",
        scale=f"{config.width} channels, {len(config.dilations)} blocks",
        licence="Apache-2.0",
        seed=seed,
        budget=_budget(plan, progress),
        metrics=(_likeness(model, data.validation()),),
    )
    card = artifact.save(model, card, out, half=True)
    (out / trainer.CHECKPOINT).unlink(missing_ok=True)
    return card


def word_pairs(model: MappedSpanModel[Any], home: Path, seed: int) -> tuple[PairData, int, dict[str, Any]]:
    """Hears all material, whitens the model's map by it, and returns the data, the number of phones, and what
    it was made of, for the card. Raises DatasetError, MissingWeights, BadInput."""
    folder = home / "training" / model.listener
    acted_clips = training_clips("queen", home)
    made_clips = synthetic.clips(home)
    heard = _hear(model, folder, "queen", acted_clips)
    russian = _hear(model, folder, "festvox_ru", training_clips("festvox_ru", home))
    sample = np.concatenate([heard.rows[::SAMPLED_EVERY], russian.rows[::SAMPLED_EVERY]]).astype(np.float32)
    model.map.measure(torch.from_numpy(sample))
    labels, phones = phone_rows(heard, alignments.phones())
    acted = whiten(heard, model.map)
    hours = {"queen": _hours(heard)}
    del heard, russian
    cuts, alone_tokens = words_alone(acted_clips, alignments.words())
    alone = whiten(states.cached(folder, "queen-alone", cuts, model.states_of, alone=True), model.map)
    made = whiten(_hear(model, folder, "synthetic", made_clips), model.map)
    hours["synthetic"] = _hours(made)
    data = PairData(
        Corpus(acted, words_in_context(acted_clips, acted, alignments.words()), labels),
        Corpus(alone, alone_tokens),
        Corpus(made, synthetic_words(made_clips, made, synthetic.words(home))),
        seed,
    )
    learned_from = {
        "files": len(acted_clips) + len(made_clips),
        "hours_by_source": hours,
        "words_cut_out": len(cuts),
        "languages": len({clip.language for clip in made_clips}),
    }
    return data, phones, learned_from


def taught(model: SpanModel[Any], identity: str, home: Path) -> tuple[Spectra, dict[str, Any]]:
    """Spectra of all the student's material with the model's frames as targets, and what it is made of.

    identity: the hash of the model's artifact. Raises DatasetError, MissingWeights, BadInput.
    """
    folder = home / "training" / f"taught-{identity[:12]}"
    parts = []
    for source in STUDENT_SOURCES:
        some = synthetic.clips(home) if source == "synthetic" else training_clips(source, home)
        path = folder / f"{source}-{states.fingerprint(_whole(some))[:12]}.npz"
        if not path.is_file():
            spectra.of_files([(clip.id, clip.path) for clip in some], frames_of(model)).save(path)
        parts.append(Spectra.load(path))
    learned_from = {
        "files": sum(len(part.names) for part in parts),
        "hours_by_source": {
            source: round(part.seconds / 3600, 3) for source, part in zip(STUDENT_SOURCES, parts, strict=True)
        },
    }
    return joined(parts), learned_from


def frames_of(model: SpanModel[Any]) -> Teacher:
    """A teacher: each waveform float32 (samples,), normalised by itself, to the model's frames."""

    @torch.inference_mode()
    def hear(waveforms: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        regions = [model.normalise([model.features(torch.from_numpy(wave))])[0] for wave in waveforms]
        _, frames = model.embed_regions(regions, torch.zeros(0, 3, dtype=torch.int64))
        return [rows.numpy() for rows in frames]

    return hear


def joined(parts: Sequence[Spectra]) -> Spectra:
    """One corpus after another; all have targets."""
    shifts = np.cumsum([0, *(len(part.spectra) for part in parts)])
    bounds = [part.bounds[:-1] + shift for part, shift in zip(parts, shifts[:-1], strict=True)]
    return Spectra(
        np.concatenate([part.spectra for part in parts]),
        np.concatenate([*bounds, shifts[-1:]]).astype(np.int64),
        tuple(name for part in parts for name in part.names),
        np.concatenate([part.targets for part in parts if part.targets is not None]),
    )


def training_clips(source: str, home: Path) -> list[Clip]:
    """Raises DatasetError."""
    return [clip for clip in clips(source, home) if split(clip) == "train"]


def words_in_context(some: Iterable[Clip], heard: States, words: Spans) -> dict[str, list[Token]]:
    """Tokens of acted words by word, as they lie in whole clips; who speaks a scene is taken for one speaker
    where the package does not tell."""
    speakers = {clip.id: clip.speaker or clip.group for clip in some}
    tokens: dict[str, list[Token]] = defaultdict(list)
    for cut, clip in enumerate(heard.names):
        for number, (word, start, end) in enumerate(words.get(clip, ())):
            inside = end * FRAMES_PER_SECOND <= heard.length(cut)
            if len(word) >= SHORTEST_WORD and end - start >= SHORTEST_SECONDS and inside:
                tokens[word].append(_token(cut, start, end, speakers[clip], f"{clip}#{number}"))
    return tokens


def words_alone(
    some: Iterable[Clip], words: Spans, seed: int = 0
) -> tuple[list[Cut], dict[str, list[Token]]]:
    """Words to be cut out of their clips with a little of what surrounds them, at most ALONE_A_WORD a word,
    and where in the cuts they lie."""
    rng = np.random.default_rng(seed)
    count = Counter(word for said in words.values() for word, _, _ in said)
    shuffled = list(some)
    rng.shuffle(shuffled)
    taken: Counter[str] = Counter()
    cuts: list[Cut] = []
    tokens: dict[str, list[Token]] = defaultdict(list)
    shortest, longest = ALONE_SECONDS
    for clip in shuffled:
        for number, (word, start, end) in enumerate(words.get(clip.id, ())):
            fit = len(word) >= SHORTEST_WORD and count[word] > 1 and shortest <= end - start <= longest
            if not fit or taken[word] == ALONE_A_WORD:
                continue
            taken[word] += 1
            before, after = rng.uniform(0, ALONE_MARGIN_SECONDS, 2)
            first, last = max(0.0, start - before), min(clip.seconds, end + after)
            place = f"{clip.id}#{number}"
            shifted = start - first, min(end, last) - first
            tokens[word].append(_token(len(cuts), *shifted, clip.speaker or clip.group, place))
            cuts.append(Cut(place, clip.path, first, last - first))
    return cuts, tokens


def synthetic_words(some: Iterable[Clip], heard: States, words: Spans) -> dict[str, list[Token]]:
    """Tokens of synthetic words by language and word."""
    by_id = {clip.id: clip for clip in some}
    tokens: dict[str, list[Token]] = defaultdict(list)
    for cut, name in enumerate(heard.names):
        clip = by_id[name]
        for number, (word, start, end) in enumerate(words[name]):
            inside = end * FRAMES_PER_SECOND <= heard.length(cut)
            lasts = SHORTEST_SECONDS <= end - start <= LONGEST_SYNTHETIC_SECONDS
            if len(word) >= SHORTEST_SYNTHETIC_WORD and lasts and inside:
                token = _token(cut, start, end, str(clip.speaker), f"{name}#{number}")
                tokens[f"{clip.language} {word}"].append(token)
    return tokens


@torch.no_grad()
def _likeness(model: Phonetic, batches: Sequence[DistilBatch]) -> Metric:
    """Mean cosine of the student's frames and the teacher's; baseline: of the teacher's mean frame."""
    own, means = [], []
    for batch in batches:
        wanted = batch.targets[batch.heard]  # (n, H)
        own.append((model.hear(batch.features, batch.lengths)[batch.heard] * wanted).sum(dim=1))
        means.append(wanted @ torch.nn.functional.normalize(wanted.mean(dim=0), dim=0))
    return Metric("likeness_to_teacher", float(torch.cat(own).mean()), 0.0, float(torch.cat(means).mean()))


def _hear(model: MappedSpanModel[Any], folder: Path, source: str, some: Sequence[Clip]) -> States:
    return states.cached(folder, source, _whole(some), model.states_of)


def _whole(some: Iterable[Clip]) -> list[Cut]:
    return [Cut(clip.id, clip.path) for clip in some]


def _token(cut: int, start: float, end: float, speaker: str, place: str) -> Token:
    return Token(cut, start * FRAMES_PER_SECOND, end * FRAMES_PER_SECOND, speaker, place)


def _shape(model: SpanModel[Any]) -> tuple[Any, ...]:
    return model.ticks_per_frame, model.frame_dimension, model.dimension, getattr(model, "parts", None)


def _hours(heard: States) -> float:
    return round(len(heard.rows) / FRAMES_PER_SECOND / 3600, 3)


def _budget(plan: Plan, progress: Progress) -> dict[str, Any]:
    return {**asdict(plan), "steps_done": progress.step, "minutes_spent": round(progress.minutes, 1)}


RECIPES: Mapping[str, Callable[..., ArtifactCard]] = {"whisper": train_whisper, "phonetic": train_phonetic}
