"""What `wordspot` and `phonetic` are distilled from: clips, the frames of two teachers, words and phones.

The teachers are `whisper-tiny.en` and `whisper`: the one knows English best, the other many languages. Their
unit frames stand side by side, so that a target's inner products are the mean of both, on the principal axes
that keep most of them. The teachers' frames are cached below `home/training` by source, so that a training
that was interrupted does not compute them again. Czech, Slovak, Drascula, Hedgewars and Asterisk's English
and Spanish by Allison are nowhere, nor are the clips that development queries are cut from.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from wordspot.models import artifact, registry
from wordspot.models.artifact import ArtifactCard
from wordspot.models.datasets import alignments, spectra, states, synthesisers, synthetic
from wordspot.models.datasets.spectra import Spectra, Teacher
from wordspot.models.datasets.speech import Clip
from wordspot.models.datasets.states import Cut
from wordspot.models.encoders.map_training import Token, phone_rows
from wordspot.models.encoders.transformer import TransformerConfig
from wordspot.models.encoders.utterances import Corpus
from wordspot.models.encoders.whisper import log_mel
from wordspot.models.errors import BadInput
from wordspot.models.training import word_recipes

ENGLISH_TEACHER = "whisper-tiny.en"
TEACHERS = (ENGLISH_TEACHER, "whisper")


@dataclass(frozen=True)
class SourcePlan:
    """How the clips of some sources are learned from; they are one corpus.

    Attributes:
        names: Of the sources.
        words: How many words of the corpus a batch holds.
        weight: Share of a batch's stretches without a word that come from the corpus, in relation to others.
        phrases: Whether clips of one name by different speakers are tokens of one phrase.
    """

    names: tuple[str, ...]
    words: int = 0
    weight: float = 1.0
    phrases: bool = False


SOURCE_PLANS = (
    SourcePlan(("queen",), words=18, weight=1.5),
    SourcePlan(("synthetic", "synthesisers"), words=18, weight=1.5),
    SourcePlan(("asterisk_it", "asterisk_it_menardi"), words=4, phrases=True),
    SourcePlan(("tuxpaint",), weight=2.0),
    SourcePlan(
        ("festvox_ru", "asterisk_ru", "asterisk_fr", "asterisk_fr_armelle", "asterisk_es_co", "klettres"),
        weight=2.0,
    ),
)
SYNTHETIC = {"synthetic": synthetic, "synthesisers": synthesisers}
MIN_PHRASE_S, MAX_PHRASE_S = 0.25, 1.4
QUIET_DB = 35.0


@dataclass(frozen=True)
class DistillationMaterial:
    """What an encoder is distilled from.

    Attributes:
        corpora: Of SOURCE_PLANS, in order, their targets on `axes`.
        phones: How many kinds of phones each corpus has.
        axes: float32 (H, frame_dimension), principal axes of both teachers' frames side by side.
        learned_from: What the corpora are made of, for the card.
    """

    corpora: list[Corpus]
    phones: list[int]
    axes: Tensor
    learned_from: dict[str, Any]


def material(home: Path) -> DistillationMaterial:
    """Returns the clips of SOURCE_PLANS with both teachers' frames, words and phones.

    home: state folder (WORDSPOT_HOME). Raises DatasetError, MissingWeights, UnknownModel, DamagedArtifact.
    """
    teachers = {name: _teacher(name, home) for name in TEACHERS}
    corpus_spectra: list[Spectra] = []
    corpus_clips: list[list[Clip]] = []
    hours: dict[str, float] = {}
    for plan in SOURCE_PLANS:
        parts = []
        corpus_clips.append([])
        for source in plan.names:
            clips = _clips(source, home)
            views = [
                with_targets(clips, source, _cache_folder(home, card), word_recipes.teacher_of(teacher))
                for teacher, card in teachers.values()
            ]
            part = side_by_side(views).without(alignments.query_clips())
            hours[source] = round(part.seconds / 3600, 3)
            parts.append(part)
            corpus_clips[-1].extend(clips)
        corpus_spectra.append(word_recipes.joined(parts))
    axes = principal_axes(corpus_spectra, TransformerConfig().frame_dimension)
    corpora: list[Corpus] = []
    phones: list[int] = []
    for plan, clips, whole in zip(SOURCE_PLANS, corpus_clips, corpus_spectra, strict=True):
        tokens, rows, kinds = _labels(plan, clips, whole, home)
        corpora.append(Corpus(on_axes(whole, axes), tokens, rows, plan.weight))
        phones.append(kinds)
    learned_from = {
        "files": sum(len(corpus.spectra.names) for corpus in corpora),
        "hours_by_source": hours,
        "teachers": {name: card.hash for name, (_, card) in teachers.items()},
    }
    return DistillationMaterial(corpora, phones, axes, learned_from)


def _teacher(name: str, home: Path) -> tuple[Any, ArtifactCard]:
    folder = registry.find(name, home)
    card = artifact.read_card(folder)
    return artifact.restore(registry.model_class(card.model), folder, card), card


def _cache_folder(home: Path, teacher: ArtifactCard) -> Path:
    return home / "training" / f"heard-{teacher.hash[:12]}"


def side_by_side(views: Sequence[Spectra]) -> Spectra:
    """Returns the clips with all teachers' unit frames in one row of unit length, (T / 2, sum of H).

    views: the same clips as each teacher heard them. Raises BadInput if they are not the same.
    """
    first = views[0]
    if any(view.names != first.names for view in views):
        raise BadInput("the teachers heard different clips")
    targets = [view.targets for view in views if view.targets is not None]
    scale = np.float16(1 / math.sqrt(len(targets)))
    return replace(first, targets=np.concatenate([scale * rows for rows in targets], axis=1))


def principal_axes(corpora: Sequence[Spectra], count: int) -> Tensor:
    """Returns the first `count` principal axes (H, count) of all targets (T / 2, H).

    Targets are not centred, for their inner products are what training reproduces.
    """
    gram: Any = 0.0
    for whole in corpora:
        assert whole.targets is not None
        for rows in np.array_split(whole.targets, max(1, len(whole.targets) // 100_000)):
            gram = gram + rows.T.astype(np.float64) @ rows.astype(np.float64)
    _, ascending = torch.linalg.eigh(torch.from_numpy(gram))
    axes: Tensor = ascending.flip(1)[:, :count].float().contiguous()
    return axes


def on_axes(whole: Spectra, axes: Tensor) -> Spectra:
    """Returns the clips with their targets (T / 2, H) projected on axes (H, count), of unit length again."""
    assert whole.targets is not None
    rows = torch.from_numpy(whole.targets).float() @ axes
    return replace(whole, targets=normalize(rows, dim=1).half().numpy())


def with_targets(clips: Sequence[Clip], source: str, folder: Path, teacher: Teacher) -> Spectra:
    """Returns log-mel of clips with the teacher's frames, which are cached in `folder`."""
    cuts = [Cut(clip.id, clip.path) for clip in clips]
    path = folder / f"{source}-{states.fingerprint(cuts)[:12]}.npz"
    if not path.is_file():
        files = [(clip.id, clip.path) for clip in clips if clip.seconds >= spectra.SHORTEST_SECONDS]
        spectra.of_files(files, teacher, lambda waveform: 10 * log_mel(waveform)).save(path)
    return Spectra.load(path)


def _clips(source: str, home: Path) -> list[Clip]:
    synthesised = SYNTHETIC.get(source)
    return word_recipes.training_clips(source, home) if synthesised is None else synthesised.clips(home)


def _labels(
    plan: SourcePlan, clips: Sequence[Clip], whole: Spectra, home: Path
) -> tuple[Mapping[str, Sequence[Token]], NDArray[np.int64] | None, int]:
    """Returns tokens by word, phones by frame (None where there are none), and how many phones there are."""
    if plan.names == ("queen",):
        tokens = word_recipes.words_in_context(clips, whole, alignments.words())
        return tokens, *phone_rows(whole.names, whole.bounds // 2, alignments.phones())
    if plan.names == tuple(SYNTHETIC):
        times = {clip: words for source in SYNTHETIC.values() for clip, words in source.words(home).items()}
        tokens = word_recipes.synthetic_words(clips, whole, times)
        return tokens, *phone_rows(whole.names, whole.bounds // 2, synthetic.phones(home))
    return (phrases(clips, whole) if plan.phrases else {}), None, 0


def phrases(clips: Iterable[Clip], whole: Spectra) -> dict[str, list[Token]]:
    """Returns tokens of short clips by phrase, from their first to their last loud tick.

    Clips of one language and name say the same phrase, whatever their source.
    """
    by_id = {clip.id: clip for clip in clips}
    tokens: dict[str, list[Token]] = defaultdict(list)
    for cut, name in enumerate(whole.names):
        level = whole.spectra[whole.bounds[cut] : whole.bounds[cut + 1]].astype(np.float32).mean(axis=1)
        loud = np.flatnonzero(level >= level.max() - QUIET_DB)
        start, stop = int(loud[0]), int(loud[-1]) + 1
        if MIN_PHRASE_S <= (stop - start) / 100 <= MAX_PHRASE_S:
            clip = by_id[name]
            phrase = f"{clip.language} {name.partition('/')[2]}"
            tokens[phrase].append(Token(cut, start / 2, stop / 2, f"{clip.source} {clip.speaker}", name))
    return tokens
