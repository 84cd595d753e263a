from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor
from torch.nn.functional import normalize

from wordspot.models import audio, registry, trainer
from wordspot.models.datasets import spectra
from wordspot.models.datasets.speech import Clip
from wordspot.models.encoders.map_training import NO_PHONE, Token, phone_rows
from wordspot.models.encoders.transformer import Transformer, TransformerConfig
from wordspot.models.encoders.transformer_training import TransformerTraining, isolated_average_precision
from wordspot.models.encoders.utterances import (
    CONTEXT_TICKS,
    ISOLATED_TICKS,
    MAX_ORIGIN_FRAMES,
    NO_WORD,
    Corpus,
    UtteranceData,
    UtteranceRows,
)
from wordspot.models.encoders.whisper import log_mel
from wordspot.models.errors import BadInput
from wordspot.models.training import distillation, initialisation, wordspot_recipe

SPEECH = Path(__file__).parents[2] / "data/speech.flac"
SMALL = TransformerConfig(
    states=32, layers=1, heads=2, feed_forward=48, whitened=24, hidden=16, frame_dimension=16, dimension=20
)
STARTS = (0.7, 1.4, 2.1, 2.8, 5.2, 5.8, 7.8, 8.5, 9.2)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Nine "words" of a real recording, each said in eight clips, in every second one in another tone; the
    teacher's frames are a fixed mixture of the spectra's."""
    root = tmp_path_factory.mktemp("corpus")
    mixture = np.random.default_rng(0).standard_normal((80, 16))

    def teacher(waves: list[np.ndarray]) -> list[np.ndarray]:
        frames = []
        for wave in waves:
            spectrum = 10 * log_mel(torch.from_numpy(wave)).numpy()
            mixed = (spectrum - spectrum.mean(axis=0))[: len(wave) // 320 * 2].reshape(-1, 2, 80).mean(axis=1)
            mixed = mixed @ mixture
            frames.append(mixed / np.linalg.norm(mixed, axis=1, keepdims=True))
        return frames

    files, tokens = [], defaultdict(list)
    for clip in range(72):
        word = clip % len(STARTS)
        wave = audio.load(SPEECH, STARTS[word] - 0.3 + 0.02 * (clip % 5), 1.2)
        toned = wave if clip % 2 else np.diff(wave, prepend=0.0) + 0.3 * wave
        path = root / f"{clip:02d}.wav"
        soundfile.write(path, toned, audio.SAMPLE_RATE)
        files.append((path.name, path))
        begin = 15.0 - clip % 5
        tokens[f"word {word}"].append(Token(clip, begin, begin + 20, f"tone {clip % 2}", path.name))
    heard = spectra.of_files(files, teacher, lambda waveform: 10 * log_mel(waveform))
    phones = np.arange(len(heard.spectra) // 2) % 3
    return Corpus(heard, dict(tokens), phones)


@pytest.fixture
def data(corpus: Corpus) -> UtteranceData:
    return UtteranceData([corpus], Transformer(SMALL), 0, words=[8], stretches=6, validation_batches=2)


def test_rows_hold_pairs_of_words_and_stretches_in_both_settings(data: UtteranceData) -> None:
    batch = data.batch(0)
    assert len(batch.isolated.word) + len(batch.context.word) == 2 * 8 + 6
    assert batch.isolated.features.shape[1:] == (80, ISOLATED_TICKS)
    assert batch.context.features.shape[1:] == (80, CONTEXT_TICKS)
    words = torch.cat([batch.isolated.word, batch.context.word])
    assert int((words == NO_WORD).sum()) == 6
    counts = torch.bincount(words[words != NO_WORD])
    assert set(counts.tolist()) == {2}
    for rows in (batch.isolated, batch.context):
        assert rows.targets.shape[1] == rows.has_target.shape[1] == rows.features.shape[2] // 2
        assert bool((rows.start >= 0).all())
        assert bool((rows.stop > rows.start).all())
        assert bool((rows.stop <= rows.features.shape[2] / 2).all())


def test_stretches_in_their_sentence_begin_at_any_position_and_isolated_ones_at_the_first(
    data: UtteranceData,
) -> None:
    batches = [data.batch(step) for step in range(8)]
    origins = torch.cat([batch.context.origin for batch in batches])
    assert 0 <= int(origins.min()) < MAX_ORIGIN_FRAMES // 4
    assert MAX_ORIGIN_FRAMES * 3 // 4 < int(origins.max()) <= MAX_ORIGIN_FRAMES
    assert not any(bool(batch.isolated.origin.any()) for batch in batches)


def test_the_same_step_gives_the_same_batch(data: UtteranceData) -> None:
    first, again = data.batch(7), data.batch(7)
    assert torch.equal(first.isolated.features, again.isolated.features)
    assert torch.equal(first.context.start, again.context.start)
    assert not torch.equal(data.batch(8).isolated.features[0], first.isolated.features[0])


def test_nothing_is_expected_of_the_silence_around_an_isolated_word(data: UtteranceData) -> None:
    rows = data.batch(1).isolated
    for row in range(len(rows.word)):
        if rows.word[row] == NO_WORD:
            continue
        where = rows.has_target[row].nonzero()[:, 0]
        # The margins reach at most 80 ms beyond the word, faster or slower by the tempo.
        assert int(where[0]) >= float(rows.start[row]) - 8
        assert int(where[-1]) <= float(rows.stop[row]) + 8


def test_teachers_frames_lie_where_the_word_is(corpus: Corpus, data: UtteranceData) -> None:
    """The middle frame of a word's target is nearest to the middle frames of the same word's tokens."""
    middles, words = [], []
    for word, tokens in corpus.tokens.items():
        for token in tokens:
            at = int(corpus.spectra.bounds[token.cut]) // 2 + int(token.start + token.stop) // 2
            assert corpus.spectra.targets is not None
            middles.append(corpus.spectra.targets[at].astype(np.float32))
            words.append(word)
    right = total = 0
    for step in range(5):
        rows = data.batch(step).context
        for row in (rows.word != NO_WORD).nonzero()[:, 0].tolist():
            middle = int((rows.start[row] + rows.stop[row]) / 2)
            same = [
                words[i] for i in np.argsort(-(np.stack(middles) @ rows.targets[row, middle].numpy()))[:4]
            ]
            right += same.count(max(set(same), key=same.count))
            total += 4
    assert right / total > 0.7


def test_training_lowers_the_loss(data: UtteranceData, tmp_path: Path) -> None:
    """From nothing, so all of the network must move."""
    torch.manual_seed(0)
    training = TransformerTraining(Transformer(SMALL), [3], frozen_blocks=0)
    first = trainer.validate(training, data.validation(), 0, "cpu")
    plan = trainer.Plan(20, learning_rate=3e-3, warm_up=5, validate_every=20)
    trainer.fit(training, data, plan, tmp_path)
    assert trainer.validate(training, data.validation(), 0, "cpu") < first - 0.05


class Knowing:
    """Tells some words by themselves, all others alike."""

    def __init__(self, known: int) -> None:
        self._known = known

    def model(self, features: Tensor, origin: Tensor) -> Tensor:
        return torch.ones(len(features), 1, 1)

    def vectors(self, frames: Tensor, rows: UtteranceRows) -> Tensor:
        word = torch.where(rows.word < self._known, rows.word, -2)
        return normalize((word[:, None] == torch.arange(-2, 20)).float(), dim=1)


def test_who_tells_all_words_has_an_average_precision_of_1(data: UtteranceData) -> None:
    batches = [data.batch(step) for step in range(3)]
    figures = [
        isolated_average_precision(Knowing(known), batches)  # type: ignore[arg-type]
        for known in (0, 4, 20)
    ]
    assert figures[0] < figures[1] < figures[2] == 1.0


def test_a_corpus_without_words_lends_its_stretches(corpus: Corpus) -> None:
    silent = replace(corpus, tokens={}, phones=None)
    data = UtteranceData([corpus, silent], Transformer(SMALL), 0, words=[4, 0], stretches=20)
    batch = data.batch(0)
    owner = torch.cat([batch.isolated.corpus, batch.context.corpus])
    phones = torch.cat([batch.isolated.phones[:, 0], batch.context.phones[:, 0]])
    assert int((owner == 1).sum()) > 0
    assert bool((phones[owner == 1] == NO_PHONE).all())


def test_batches_without_words_are_refused(corpus: Corpus) -> None:
    with pytest.raises(BadInput, match=r"words \(0,\) of each corpus"):
        UtteranceData([corpus], Transformer(SMALL), 0, words=[0])


def test_the_units_that_are_kept_are_the_busiest(corpus: Corpus) -> None:
    torch.manual_seed(0)
    model = Transformer(SMALL).eval()
    with torch.no_grad():
        for block in model.blocks:
            block.expand.weight[5:7] *= 40  # type: ignore[union-attr, operator, index]
            block.contract.weight[:, 9] = 0  # type: ignore[union-attr, operator, index]
    for units in initialisation.units_by_activation(model, corpus.spectra):
        assert set(units[:2].tolist()) == {5, 6}
        assert units[-1] == 9


def test_prompts_of_one_name_by_two_speakers_are_one_phrase(corpus: Corpus) -> None:
    names = tuple(f"asterisk_fr{voice}/digits/{number}" for number in range(36) for voice in ("", "_armelle"))
    whole = replace(corpus.spectra, names=names)
    clips = [
        Clip(name, name.partition("/")[0], "June", "fr", "prompts", Path("x"), 1.2, None) for name in names
    ]
    tokens = distillation.phrases(clips, whole)
    assert all(phrase.startswith("fr digits/") for phrase in tokens)
    for said in tokens.values():
        assert len({token.speaker for token in said}) == len(said) == 2
        assert all(0 <= token.start < token.stop <= 60 for token in said)


def test_phones_lie_in_their_frames(corpus: Corpus) -> None:
    name = corpus.spectra.names[1]
    rows, kinds = phone_rows(
        corpus.spectra.names, corpus.spectra.bounds // 2, {name: [("a", 0.1, 0.2), ("b", 0.2, 0.5)]}
    )
    begin = int(corpus.spectra.bounds[1]) // 2
    assert kinds == 2
    assert rows[begin + 5 : begin + 25].tolist() == [0] * 5 + [1] * 15
    assert (np.delete(rows, np.arange(begin + 5, begin + 25)) == NO_PHONE).all()


def test_the_first_blocks_stay_as_they_are(corpus: Corpus, tmp_path: Path) -> None:
    torch.manual_seed(0)
    training = TransformerTraining(Transformer(replace(SMALL, layers=3)), [3])
    data = UtteranceData([corpus], training.model, 0, words=[4], stretches=2, validation_batches=1)
    before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
    trainer.fit(training, data, trainer.Plan(2, learning_rate=1e-2, warm_up=1, validate_every=1), tmp_path)
    after = training.model.state_dict()
    moved = {
        name.split(".")[0] + name.split(".")[1]
        for name in before
        if not torch.equal(before[name], after[name])
    }
    assert {"blocks1", "blocks2"} <= moved
    assert not {"firstweight", "secondweight", "blocks0"} & moved


def test_inner_products_of_joint_targets_are_the_mean_of_both_teachers(corpus: Corpus) -> None:
    heard = corpus.spectra
    assert heard.targets is not None
    rng = np.random.default_rng(0)
    other = rng.standard_normal(heard.targets.shape)
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    second = replace(heard, targets=other.astype(np.float16))
    both = distillation.side_by_side([heard, second])
    axes = distillation.principal_axes([both], 32)
    assert axes.shape == (32, 32)
    targets = distillation.on_axes(both, axes).targets
    assert targets is not None
    rows = rng.choice(len(targets), 50)
    first, second_rows, joint = (
        part[rows].astype(np.float32) @ part[rows].astype(np.float32).T
        for part in (heard.targets, second.targets, targets)
    )
    np.testing.assert_allclose(joint, (first + second_rows) / 2, atol=0.01)


def test_the_first_axes_keep_what_varies_most(corpus: Corpus) -> None:
    axes = distillation.principal_axes([corpus.spectra], 4)
    targets = torch.from_numpy(corpus.spectra.targets).float()
    kept = (targets @ axes).square().sum() / targets.square().sum()
    drawn, _ = torch.linalg.qr(torch.randn(16, 4, generator=torch.Generator().manual_seed(0)))
    assert kept > 2 * (targets @ drawn).square().sum() / targets.square().sum()


def test_teachers_that_heard_different_clips_are_refused(corpus: Corpus) -> None:
    less = corpus.spectra.without({corpus.spectra.names[0]})
    with pytest.raises(BadInput, match="different clips"):
        distillation.side_by_side([corpus.spectra, less])


def test_a_fitted_start_is_nearer_to_the_targets(corpus: Corpus) -> None:
    torch.manual_seed(0)
    model = Transformer(SMALL).eval()
    data = UtteranceData([corpus], model, 0, words=[4], stretches=8)

    def distance() -> float:
        rows = data.batch(0).context
        with torch.no_grad():
            frames = normalize(model(rows.features), dim=2)
        return float(1 - (frames * rows.targets).sum(dim=2)[rows.has_target].mean())

    before = distance()
    initialisation.fit_output(model, [corpus])
    assert distance() < 0.8 * before


def test_the_fast_encoder_starts_as_the_first_blocks_of_the_default(corpus: Corpus, tmp_path: Path) -> None:
    heard = corpus.spectra
    assert heard.targets is not None
    wider = replace(heard, targets=np.pad(heard.targets, ((0, 0), (0, 48))))
    material = distillation.DistillationMaterial([Corpus(wider, {})], [0], torch.eye(64), {})
    model = initialisation.from_wordspot(tmp_path, material)
    whole = registry.load("wordspot")[0].state_dict()
    assert (model.config.layers, model.config.feed_forward) == (2, 768)
    own = model.state_dict()
    assert torch.equal(own["blocks.1.attention.query.weight"], whole["blocks.1.attention.query.weight"])
    units = {tuple(row) for row in whole["blocks.0.expand.weight"].tolist()}
    assert all(tuple(row) in units for row in own["blocks.0.expand.weight"].tolist())
    with torch.no_grad():
        frames = [normalize(model.map.mapped(rows[None])[0], dim=1) for rows in whitened_of(model, material)]
    targets = initialisation.states_and_targets(model, material.corpora)[1]
    likeness = torch.cat([(one * other).sum(dim=1) for one, other in zip(frames, targets, strict=True)])
    assert float(likeness.mean()) > 0.8


def whitened_of(model: Transformer, material: distillation.DistillationMaterial) -> list[Tensor]:
    states, _ = initialisation.states_and_targets(model, material.corpora)
    return [model.map.whiten(rows) for rows in states]


def test_interpolated_weights_lie_between_the_start_and_the_end() -> None:
    torch.manual_seed(0)
    start, end = Transformer(SMALL).state_dict(), Transformer(SMALL)
    trained = {name: tensor.clone() for name, tensor in end.state_dict().items()}
    wordspot_recipe.interpolate(end, start, 0.75)
    for name, tensor in end.state_dict().items():
        torch.testing.assert_close(tensor, 0.25 * start[name] + 0.75 * trained[name])
