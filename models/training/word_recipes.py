"""Recipes of the maps on Whisper's frames, which learn from words, and the material of all that learn so.

    states of every clip -> pairs of words by two speakers -> contrast -> `whisper`

All material comes from the data sets' packages. The states, which take long, are cached below `home/training`
by source, so that a training that was interrupted does not compute them again. Czech and Slovak are nowhere.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from wordspot.models import artifact, trainer
from wordspot.models.artifact import ArtifactCard, Metric
from wordspot.models.datasets import alignments, states, synthetic
from wordspot.models.datasets.spectra import Spectra, Teacher
from wordspot.models.datasets.speech import Clip, clips, split
from wordspot.models.datasets.states import FRAMES_PER_SECOND, Cut, States
from wordspot.models.encoders import whisper_weights
from wordspot.models.encoders.frame_map import MappedSpanModel
from wordspot.models.encoders.map_training import (
    MapTraining,
    Token,
    TokenPairData,
    WhitenedCorpus,
    average_precision,
    phone_rows,
    whiten,
)
from wordspot.models.encoders.spans import SpanModel
from wordspot.models.encoders.whisper import Whisper, WhisperConfig
from wordspot.models.recipe import Recipe, Report, recipe
from wordspot.models.trainer import Plan, Progress


class EncodedClips(Protocol):
    """Clips as a network encoded them: their names, and how many frames of 20 ms each has."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the clips."""

    def length(self, cut: int, /) -> int:
        """Returns the frames of a clip."""


WordTimes = Mapping[str, Sequence[tuple[str, float, float]]]
"""Words with start and end in seconds, by clip."""

MAP_STEPS = 1_000
MIN_LETTERS = 4  #  of an acted word; what is shorter is mostly unstressed
MIN_SYNTHETIC_LETTERS = 2
MIN_SECONDS = 0.16
MAX_SYNTHETIC_SECONDS = 1.3
CUT_SECONDS = (0.2, 1.2)
MAX_CUTS_A_WORD = 25
CUT_MARGIN_SECONDS = 0.08
SAMPLED_EVERY = 37  # rows whose principal components whiten


@dataclass(frozen=True)
class WhisperRecipe(Recipe):
    """The map on Whisper's frames.

    config: its `weights` are a name out of whisper_weights.WHISPER_WEIGHTS; tiny.en is for English only.
    """

    def train(
        self,
        home: Path,
        out: Path,
        *,
        resume: bool = False,
        seed: int = 0,
        steps: int | None = None,
        minutes: float | None = None,
        device: str = "cpu",
        report: Report = lambda progress: None,
    ) -> ArtifactCard:
        """Trains the map and writes the artifact. Raises DatasetError, MissingWeights, BadInput."""
        torch.manual_seed(seed)
        model = Whisper(self.config)
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
        progress = trainer.fit(
            training,
            data,
            plan,
            out,
            device=device,
            resume=resume,
            provenance={"recipe": self.name, "data": learned_from},
            report=report,
        )
        training.to("cpu")
        after = average_precision(training, validation)
        record = self.record(
            data={
                "note": (
                    "word pairs of Flight of the Amazon Queen (training scenes, forced alignment of the "
                    "subtitles) and of synthetic speech; phones of the former; whitening from the Queen and "
                    "from Russian (festvox-ru); no Czech, no Slovak"
                ),
                **learned_from,
                "whisper_sha256": whisper_weights.named(self.config.weights).sha256,
            },
            licence="Apache-2.0 for this map; Whisper's weights: MIT",
            seed=seed,
            budget=_budget(plan, progress),
            metrics=(Metric("held_out_words_ap", after, floor=0.0, baseline=before),),
        )
        card = artifact.save(model, record, out, half=self.half)
        (out / trainer.CHECKPOINT).unlink(missing_ok=True)
        return card


for _name, _weights in (("whisper", "base"), ("whisper-tiny.en", "tiny.en")):
    recipe(
        WhisperRecipe(
            _name,
            "whisper",
            WhisperConfig(weights=_weights, states=whisper_weights.named(_weights).states),
            f"Frames of Whisper {_weights}, mapped by a small network to what tells words apart; Whisper's "
            "own weights are not part of it.",
            "Radford et al. 2022 (Whisper); supervised contrastive loss: Khosla et al. 2020",
            supervision=(
                "word and phone times of the Queen's training scenes, word times of synthetic speech; "
                "Whisper itself was trained on 680,000 h of transcribed speech"
            ),
            scale="a map of 0.3 million weights on a frozen encoder",
        )
    )


def word_pairs(
    model: MappedSpanModel[Any], home: Path, seed: int
) -> tuple[TokenPairData, int, dict[str, Any]]:
    """Computes the states of all material and whitens the model's map by them.

    Returns the data, the number of phones, and what the data are made of, for the card. Raises DatasetError,
    MissingWeights, BadInput.
    """
    folder = home / "training" / model.states_name
    acted_clips = training_clips("queen", home)
    synthetic_clips = synthetic.clips(home)
    queen = _states(model, folder, "queen", acted_clips)
    russian = _states(model, folder, "festvox_ru", training_clips("festvox_ru", home))
    sample = np.concatenate([queen.rows[::SAMPLED_EVERY], russian.rows[::SAMPLED_EVERY]]).astype(np.float32)
    model.map.measure(torch.from_numpy(sample))
    labels, phones = phone_rows(queen.names, queen.bounds, alignments.phones())
    acted = whiten(queen, model.map)
    hours = {"queen": _hours(queen)}
    del queen, russian
    cuts, isolated_tokens = isolated_words(acted_clips, alignments.words())
    isolated = states.cached(folder, "queen-alone", cuts, model.states_of, one_by_one=True)
    synthesised = whiten(_states(model, folder, "synthetic", synthetic_clips), model.map)
    hours["synthetic"] = _hours(synthesised)
    data = TokenPairData(
        WhitenedCorpus(acted, words_in_context(acted_clips, acted, alignments.words()), labels),
        WhitenedCorpus(whiten(isolated, model.map), isolated_tokens),
        WhitenedCorpus(synthesised, synthetic_words(synthetic_clips, synthesised, synthetic.words(home))),
        seed,
    )
    learned_from = {
        "files": len(acted_clips) + len(synthetic_clips),
        "hours_by_source": hours,
        "words_cut_out": len(cuts),
        "languages": len({clip.language for clip in synthetic_clips}),
    }
    return data, phones, learned_from


def teacher_of(model: SpanModel[Any]) -> Teacher:
    """Returns a teacher: from waveforms, float32 (samples,) and each normalised by itself, to the model's
    frames."""

    @torch.inference_mode()
    def encode(waveforms: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        regions = [model.normalise([model.features(torch.from_numpy(wave))])[0] for wave in waveforms]
        _, frames = model.embed_regions(regions, torch.zeros(0, 3, dtype=torch.int64))
        return [rows.numpy() for rows in frames]

    return encode


def joined(parts: Sequence[Spectra]) -> Spectra:
    """Returns the spectra of all parts, which have targets, one after another."""
    shifts = np.cumsum([0, *(len(part.spectra) for part in parts)])
    bounds = [part.bounds[:-1] + shift for part, shift in zip(parts, shifts[:-1], strict=True)]
    return Spectra(
        np.concatenate([part.spectra for part in parts]),
        np.concatenate([*bounds, shifts[-1:]]).astype(np.int64),
        tuple(name for part in parts for name in part.names),
        np.concatenate([part.targets for part in parts if part.targets is not None]),
    )


def training_clips(source: str, home: Path) -> list[Clip]:
    """Returns a source's clips that may train. Raises DatasetError."""
    return [clip for clip in clips(source, home) if split(clip) == "train"]


def words_in_context(
    clips: Iterable[Clip], encoded: EncodedClips, words: WordTimes
) -> dict[str, list[Token]]:
    """Returns tokens of acted words by word, as they lie in whole clips.

    Where the package does not name a clip's speaker, its scene counts as one.
    """
    speakers = {clip.id: clip.speaker or clip.group for clip in clips}
    tokens: dict[str, list[Token]] = defaultdict(list)
    for cut, clip in enumerate(encoded.names):
        for number, (word, start, end) in enumerate(words.get(clip, ())):
            inside = end * FRAMES_PER_SECOND <= encoded.length(cut)
            if len(word) >= MIN_LETTERS and end - start >= MIN_SECONDS and inside:
                tokens[word].append(_token(cut, start, end, speakers[clip], f"{clip}#{number}"))
    return tokens


def isolated_words(
    clips: Iterable[Clip], words: WordTimes, seed: int = 0
) -> tuple[list[Cut], dict[str, list[Token]]]:
    """Returns cuts of words with a little of what surrounds them, at most MAX_CUTS_A_WORD a word, and the
    tokens in the cuts by word."""
    rng = np.random.default_rng(seed)
    count = Counter(word for times in words.values() for word, _, _ in times)
    shuffled = list(clips)
    rng.shuffle(shuffled)
    cut_count: Counter[str] = Counter()
    cuts: list[Cut] = []
    tokens: dict[str, list[Token]] = defaultdict(list)
    shortest, longest = CUT_SECONDS
    for clip in shuffled:
        for number, (word, start, end) in enumerate(words.get(clip.id, ())):
            fit = len(word) >= MIN_LETTERS and count[word] > 1 and shortest <= end - start <= longest
            if not fit or cut_count[word] == MAX_CUTS_A_WORD:
                continue
            cut_count[word] += 1
            before, after = rng.uniform(0, CUT_MARGIN_SECONDS, 2)
            first, last = max(0.0, start - before), min(clip.seconds, end + after)
            place = f"{clip.id}#{number}"
            shifted = start - first, min(end, last) - first
            tokens[word].append(_token(len(cuts), *shifted, clip.speaker or clip.group, place))
            cuts.append(Cut(place, clip.path, first, last - first))
    return cuts, tokens


def synthetic_words(clips: Iterable[Clip], encoded: EncodedClips, words: WordTimes) -> dict[str, list[Token]]:
    """Returns tokens of synthetic words by language and word."""
    by_id = {clip.id: clip for clip in clips}
    tokens: dict[str, list[Token]] = defaultdict(list)
    for cut, name in enumerate(encoded.names):
        clip = by_id[name]
        for number, (word, start, end) in enumerate(words[name]):
            inside = end * FRAMES_PER_SECOND <= encoded.length(cut)
            lasts = MIN_SECONDS <= end - start <= MAX_SYNTHETIC_SECONDS
            if len(word) >= MIN_SYNTHETIC_LETTERS and lasts and inside:
                token = _token(cut, start, end, str(clip.speaker), f"{name}#{number}")
                tokens[f"{clip.language} {word}"].append(token)
    return tokens


def _states(model: MappedSpanModel[Any], folder: Path, source: str, clips: Sequence[Clip]) -> States:
    return states.cached(folder, source, _whole(clips), model.states_of)


def _whole(clips: Iterable[Clip]) -> list[Cut]:
    return [Cut(clip.id, clip.path) for clip in clips]


def _token(cut: int, start: float, end: float, speaker: str, place: str) -> Token:
    return Token(cut, start * FRAMES_PER_SECOND, end * FRAMES_PER_SECOND, speaker, place)


def _hours(states: States) -> float:
    return round(len(states.rows) / FRAMES_PER_SECOND / 3600, 3)


def _budget(plan: Plan, progress: Progress) -> dict[str, Any]:
    return {**asdict(plan), "steps_done": progress.step, "minutes_spent": round(progress.minutes, 1)}
