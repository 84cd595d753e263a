"""Batches of isolated words and of words in their sentences, with a teacher's frames, for `wordspot`'s
training.

Half of the pairs of a word are an isolated token and one in its sentence, as queries and archives are. Beside
the words a batch holds stretches of any clip. All are disturbed (`augmentation`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn.functional import normalize

from wordspot.models import augmentation
from wordspot.models.augmentation import Strength
from wordspot.models.datasets.spectra import SILENCE_DB, TICKS_PER_TARGET, Spectra
from wordspot.models.encoders.map_training import JITTER, NO_PHONE, Token, draw_tokens, vocabulary
from wordspot.models.encoders.transformer import Transformer
from wordspot.models.errors import BadInput

NO_WORD = -1
ISOLATED_TICKS, CONTEXT_TICKS = 150, 220
MAX_ORIGIN_FRAMES = 200  # frames into the window at which what is in its sentence may begin
MIN_STRETCH_TICKS, MAX_STRETCH_TICKS = 26, 110  # ticks of an isolated stretch that is no known word
MAX_LEAD_TICKS = 50  # of silence at most before an isolated word
MAX_MARGIN_TICKS = 8
TEMPO = 1.15
MAX_LOUDER_DECADES = 0.6  # decades by which something else in a recording may be louder than the row
STRENGTH = Strength(tempo=TEMPO, warp=1.15, snr_db=(3.0, 35.0), noisy=0.5, reverberant=0.3, narrow=0.3)


@dataclass(frozen=True)
class Corpus:
    """Clips to learn from.

    Attributes:
        spectra: Log-mel of the clips in dB, with the teacher's frames as targets.
        tokens: By word, of words by several speakers, in frames of the clips.
        phones: int64 (T / 2,), by frame of the corpus; None where none are known.
        weight: Of the corpus among others when stretches without a word are drawn.
    """

    spectra: Spectra
    tokens: Mapping[str, Sequence[Token]]
    phones: NDArray[np.int64] | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class UtteranceRows:
    """Stretches of clips as windows, a row each.

    Attributes:
        features: float32 (B, 80, T), as the network takes them.
        origin: int64 (B,), the position in the network's window of each row's first frame.
        targets: float32 (B, T / 2, H), unit rows of the teacher.
        has_target: bool (B, T / 2), where there is a target.
        start: float64 (B,), the word's or stretch's first frame.
        stop: float64 (B,), where it ends, in frames.
        word: int64 (B,), the label within its corpus, or NO_WORD.
        corpus: int64 (B,), its number.
        phones: int64 (B, T / 2), or NO_PHONE.
    """

    features: Tensor
    origin: Tensor
    targets: Tensor
    has_target: Tensor
    start: Tensor
    stop: Tensor
    word: Tensor
    corpus: Tensor
    phones: Tensor

    def to(self, device: str) -> UtteranceRows:
        """Returns the rows on a device."""
        return UtteranceRows(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class UtteranceBatch:
    """Rows of words and stretches.

    Attributes:
        isolated: Those cut out of their clips.
        context: Those in their clips.
    """

    isolated: UtteranceRows
    context: UtteranceRows

    def to(self, device: str) -> UtteranceBatch:
        """Returns the batch on a device."""
        return UtteranceBatch(self.isolated.to(device), self.context.to(device))


class UtteranceData:
    """Batches for the trainer: words of each corpus, two tokens each, and stretches of any clip.

    One word in twelve is for validation (as in map_training), and one clip in twenty.

    Args:
        corpora: To learn from.
        model: Whose input the batches are.
        seed: Of what is random; equal arguments and steps give equal batches.
        words: How many words of each corpus a batch holds.
        stretches: How many stretches without a word it holds.
        validation_batches: How many batches validate.

    Raises:
        BadInput: No corpus has a word by two speakers.
    """

    def __init__(
        self,
        corpora: Sequence[Corpus],
        model: Transformer,
        seed: int,
        *,
        words: Sequence[int],
        stretches: int = 36,
        validation_batches: int = 6,
    ) -> None:
        self._corpora, self._model, self._seed = corpora, model, seed
        self._words, self._stretches = words, stretches
        self._validation_batches = validation_batches
        self._vocabularies = {
            held_out: [
                vocabulary(corpus.tokens, held_out=held_out) if count else []
                for corpus, count in zip(corpora, words, strict=True)
            ]
            for held_out in (False, True)
        }
        if not any(words):
            raise BadInput(f"words {tuple(words)} of each corpus; at least one must be above 0")
        weights = np.array([corpus.weight for corpus in corpora])
        self._weights = weights / weights.sum()

    def batch(self, step: int) -> UtteranceBatch:
        """Returns the utterances of a step, drawn by the step's number."""
        return self._draw(np.random.default_rng([self._seed, 0, step]), held_out=False)

    def validation(self) -> list[UtteranceBatch]:
        """Returns the same draws of the held-out part every time."""
        rngs = [np.random.default_rng([self._seed, 1, number]) for number in range(self._validation_batches)]
        return [self._draw(rng, held_out=True) for rng in rngs]

    def _draw(self, rng: np.random.Generator, *, held_out: bool) -> UtteranceBatch:
        chosen: dict[bool, list[_Choice]] = {False: [], True: []}
        for number, (corpus, words, count) in enumerate(
            zip(self._corpora, self._vocabularies[held_out], self._words, strict=True)
        ):
            picked = rng.permutation(len(words))[:count]
            for label, place in enumerate(picked):
                pair = draw_tokens(corpus.tokens[words[place]], rng)
                # Half of the pairs are a cut-out word and one in its sentence, as queries and archives are.
                isolation = (True, False) if rng.random() < 0.5 else tuple(rng.random(2) < 0.5)
                for token, isolated in zip(pair, isolation, strict=True):
                    chosen[bool(isolated)].append(
                        _Choice(number, token.cut, token.start * 2, token.stop * 2, label)
                    )
        for number in rng.choice(len(self._corpora), self._stretches, p=self._weights):
            isolated = bool(rng.random() < 0.5)
            chosen[isolated].append(self._stretch(int(number), rng, held_out=held_out))
        chance = torch.Generator().manual_seed(int(rng.integers(2**62)))
        return UtteranceBatch(
            self._rows(chosen[True], ISOLATED_TICKS, rng, chance, isolated=True),
            self._rows(chosen[False], CONTEXT_TICKS, rng, chance, isolated=False),
        )

    def _stretch(self, number: int, rng: np.random.Generator, *, held_out: bool) -> _Choice:
        bounds = self._corpora[number].spectra.bounds
        clips = np.arange(len(bounds) - 1)
        clips = clips[(clips % 20 == 0) == held_out]
        length = np.diff(bounds)[clips].astype(np.float64)
        clip = int(rng.choice(clips, p=length / length.sum()))
        ticks = int(bounds[clip + 1] - bounds[clip])
        size = min(
            float(ticks), math.exp(rng.uniform(math.log(MIN_STRETCH_TICKS), math.log(MAX_STRETCH_TICKS)))
        )
        start = rng.uniform(0, ticks - size)
        return _Choice(number, clip, start, start + size, NO_WORD)

    def _rows(
        self,
        chosen: Sequence[_Choice],
        ticks: int,
        rng: np.random.Generator,
        chance: Generator,
        *,
        isolated: bool,
    ) -> UtteranceRows:
        """Returns rows in the order of the corpora; what lies outside an isolated stretch is silence."""
        chosen = sorted(chosen, key=lambda choice: choice.corpus)
        count = len(chosen)
        rate = np.exp(rng.uniform(-math.log(TEMPO), math.log(TEMPO), count))
        begin = np.array([choice.start for choice in chosen])
        end = np.array([choice.stop for choice in chosen])
        margin = rng.uniform(0, MAX_MARGIN_TICKS, (2, count)) if isolated else np.zeros((2, count))
        # Where in the window the stretch begins: after a silence, or wherever it leaves room on both sides.
        size = (end - begin + margin.sum(axis=0)) / rate
        room = np.maximum(ticks - size - 2, 0)
        lead = rng.uniform(0, np.minimum(room, MAX_LEAD_TICKS)) if isolated else rng.uniform(0, room)
        origin = begin - margin[0] - rate * lead  # tick of the clip under the window's first
        source = math.ceil(ticks * TEMPO) + 2 * TICKS_PER_TARGET
        spectra, clip_targets, clip_has_target, phones = self._read(chosen, origin, source)
        base = np.floor(origin / 2) * 2
        places = torch.from_numpy((origin - base)[:, None] + rate[:, None] * np.arange(ticks)).float()
        read = augmentation.read_at(spectra, places)
        at = places[:, ::TICKS_PER_TARGET] / TICKS_PER_TARGET
        targets = normalize(augmentation.read_at(clip_targets, at), dim=2)
        has_target = augmentation.read_at(clip_has_target[..., None].float(), at)[..., 0] > 0.99
        nearest = at.round().long().clamp_max(phones.shape[1] - 1)
        kinds = phones.gather(1, nearest)
        if isolated:
            inside = _between(torch.from_numpy(lead), torch.from_numpy(lead + size), ticks)
            read = torch.where(inside[..., None], read, torch.full_like(read, SILENCE_DB))
            has_target &= inside[:, ::TICKS_PER_TARGET]
        disturbed = augmentation.disturb(read, STRENGTH, chance)
        start, stop = ((edge - origin) / rate / 2 for edge in (begin, end))
        jitter = rng.normal(0, JITTER, (2, count)) * (stop - start)
        longest = ticks / 2
        return UtteranceRows(
            _scaled(disturbed, chance).transpose(1, 2).contiguous(),
            torch.from_numpy(rng.integers(0, 1 if isolated else MAX_ORIGIN_FRAMES + 1, count)),
            targets,
            has_target,
            torch.from_numpy((start + jitter[0]).clip(0, longest - 1)),
            torch.from_numpy(
                np.maximum((stop + jitter[1]).clip(1, longest), start + jitter[0] + 1).clip(1, longest)
            ),
            torch.tensor([choice.word for choice in chosen]),
            torch.tensor([choice.corpus for choice in chosen]),
            kinds,
        )

    def _read(
        self, chosen: Sequence[_Choice], origin: NDArray[np.float64], ticks: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns spectra (B, ticks, 80), targets (B, ticks / 2, H), where there are any, and phones.

        They are from the even tick before `origin` (B,) of each clip on; silence beyond the clip.
        """
        parts = []
        clip = np.array([choice.clip for choice in chosen])
        owner = np.array([choice.corpus for choice in chosen])
        for number in np.unique(owner):
            corpus, members = self._corpora[number], owner == number
            first = (corpus.spectra.bounds[clip[members]] + np.floor(origin[members] / 2) * 2).astype(
                np.int64
            )
            spectra = corpus.spectra.at(clip[members], first, ticks)
            targets, has_target = corpus.spectra.targets_of(first, clip[members], ticks // TICKS_PER_TARGET)
            rows = first[:, None] // 2 + np.arange(ticks // TICKS_PER_TARGET)
            has_target &= torch.from_numpy(rows >= corpus.spectra.bounds[clip[members]][:, None] // 2)
            kinds = np.full(rows.shape, NO_PHONE)
            if corpus.phones is not None:
                kinds = corpus.phones[rows.clip(0, len(corpus.phones) - 1)]
            parts.append((spectra, targets, has_target, torch.from_numpy(kinds)))
        spectra, targets, has_target, phones = (torch.cat(part) for part in zip(*parts, strict=True))
        return spectra, targets, has_target, phones


@dataclass(frozen=True)
class _Choice:
    """Ticks [start, stop) of a clip, and the word there, or NO_WORD."""

    corpus: int
    clip: int
    start: float
    stop: float
    word: int


def _between(first: Tensor, last: Tensor, ticks: int) -> Tensor:
    """Returns bool (B, ticks): from `first` (B,) to before `last` (B,)."""
    at = torch.arange(ticks)
    return (at >= first[:, None]) & (at < last[:, None])


def _scaled(spectra: Tensor, chance: Generator) -> Tensor:
    """Scales spectra (B, T, 80) in dB as Whisper scales a window (whisper.scaled); in half of the rows as if
    something outside the window were louder."""
    decades = spectra / 10
    batch = len(decades)
    louder = augmentation.uniform((batch, 1, 1), 0, MAX_LOUDER_DECADES, chance)
    louder = louder * (augmentation.uniform((batch, 1, 1), 0, 1, chance) < 0.5)
    top = decades.amax(dim=(1, 2), keepdim=True) + louder
    return (torch.maximum(decades, top - 8.0) + 4.0) / 4.0
