"""Recipes of the encoders that learn from a folder of audio, without labels.

A recipe says how a model learns and what its card tells. The convolutional ones learn in rounds: first from
the audio alone, then from pairs that the network of the round before mined in it. `filterbank` only measures.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wordspot.models import audio, trainer
from wordspot.models.artifact import Metric
from wordspot.models.datasets import spectra as spectra_of
from wordspot.models.datasets import views
from wordspot.models.datasets.segments import SegmentBatch, SegmentData
from wordspot.models.datasets.spectra import Spectra
from wordspot.models.datasets.views import ContrastiveData, MinedPairs, ViewBatch
from wordspot.models.encoders.contrastive import both_views, nt_xent, span_vectors
from wordspot.models.encoders.convolutional import ConvolutionalConfig, ConvolutionalEncoder
from wordspot.models.encoders.filterbank import Filterbank, FilterbankConfig
from wordspot.models.encoders.mining import mine
from wordspot.models.encoders.pooled import part_means
from wordspot.models.encoders.sequence_autoencoder import SequenceAutoencoder, SequenceAutoencoderConfig
from wordspot.models.recipe import AudioRecipe, AudioRun, TrainingResult, recipe
from wordspot.models.registry import model_class
from wordspot.models.trainer import Plan

ROUNDS = (4 / 6, 1 / 6, 1 / 6)  # shares of the steps; pairs are mined before every round but the first
PAIRS = 1_000
NAIVE_PARTS = 10
SMALL = ConvolutionalConfig(width=96, dilations=(1, 2, 4, 1, 2))


UNSUPERVISED = "none: neither transcripts nor word boundaries"
MINED = (
    f"{UNSUPERVISED}; the ranking of mined pairs and their number were chosen once with a look at the words "
    "of an annotated English archive"
)
MEASURED = (
    f"{UNSUPERVISED}, no pretrained network; the number and weights of coefficients were chosen with a look "
    "at search in an annotated English archive"
)


def _learn_segments(run: AudioRun) -> TrainingResult:
    """Trains SA and DSA."""
    segments = SegmentData(run.data, run.seed)
    model = model_class(run.recipe.model)(run.recipe.config)
    assert isinstance(model, SequenceAutoencoder)
    plan = Plan(steps=run.steps, minutes=run.minutes, seed=run.seed)
    progress = trainer.fit(
        model,
        segments,
        plan,
        run.out,
        device=run.device,
        resume=run.resume,
        provenance={"recipe": run.recipe.name, "data": segments.sha256},
        report=run.report,
    )
    model.to("cpu")
    return TrainingResult(
        model,
        {
            "files": segments.files,
            "hours": round(segments.seconds / 3600, 3),
            "sha256_of_names_and_lengths": segments.sha256,
        },
        {**asdict(plan), "steps_done": progress.step, "minutes_spent": round(progress.minutes, 1)},
        (_reconstruction(model, segments.validation()),),
    )


@torch.no_grad()
def _reconstruction(model: SequenceAutoencoder, batches: list[SegmentBatch]) -> Metric:
    """Measures the squared error of reconstructing unseen clean segments.

    floor: zero; baseline: that of each segment's mean.
    """
    errors, means = [], []
    for batch in batches:
        mask = torch.arange(batch.clean.shape[1]) < batch.lengths[:, None]
        rebuilt = model.decode(model.encode(batch.clean, batch.lengths), batch.lengths)
        mean = batch.clean.sum(dim=1, keepdim=True) / batch.lengths[:, None, None]
        errors.append((rebuilt - batch.clean).square().mean(dim=2)[mask])
        means.append((mean - batch.clean).square().mean(dim=2)[mask])
    return Metric(
        "reconstruction_mse",
        value=float(torch.cat(errors).mean()),
        floor=0.0,
        baseline=float(torch.cat(means).mean()),
    )


def _measure_bands(run: AudioRun) -> TrainingResult:
    """Measures the filterbank's mean and deviation over all clips."""
    spectra = spectra_of.of_files(views.of_folder(run.data))
    model = Filterbank(run.recipe.config)
    bounds = zip(spectra.bounds[:-1], spectra.bounds[1:], strict=True)
    model.measure(torch.from_numpy(spectra.spectra[a:b].astype(np.float32)) for a, b in bounds)
    return TrainingResult(
        model,
        {
            "files": len(spectra.names),
            "hours": round(spectra.seconds / 3600, 3),
            "sha256_of_names_and_lengths": spectra.sha256,
        },
        {},
        (),
    )


def _learn_views(run: AudioRun) -> TrainingResult:
    """Trains contrastive and correspondence encoders: a fit a round, each with a checkpoint of its own.

    A resumed training passes through the rounds that are done, since their checkpoints are complete.
    """
    spectra = spectra_of.of_files(views.of_folder(run.data))
    torch.manual_seed(run.seed)
    model = model_class(run.recipe.model)(run.recipe.config)
    assert isinstance(model, ConvolutionalEncoder)
    steps_done, minutes_spent, mined_pairs = 0, 0.0, []
    for number in range(len(ROUNDS)):
        folder = run.out / _round(number)
        pairs = _pairs(model, spectra, folder / "pairs.npz", run) if number else MinedPairs.none()
        plan = _round_plan(run, number)
        has_checkpoint = (folder / trainer.CHECKPOINT).is_file()
        progress = trainer.fit(
            model,
            ContrastiveData(spectra, model.normalise, plan.seed, pairs=pairs),
            plan,
            folder,
            device=run.device,
            resume=run.resume and (has_checkpoint or number == 0),
            provenance={
                "recipe": run.recipe.name,
                "data": spectra.sha256,
                "round": number,
                "pairs": pairs.sha256,
            },
            report=run.report,
        )
        steps_done += progress.step
        minutes_spent += progress.minutes
        mined_pairs += [len(pairs)] if number else []
    model.to("cpu").eval()
    validation = ContrastiveData(spectra, model.normalise, run.seed).validation()
    return TrainingResult(
        model,
        {
            "files": len(spectra.names),
            "hours": round(spectra.seconds / 3600, 3),
            "sha256_of_names_and_lengths": spectra.sha256,
            "mined_pairs": mined_pairs,
        },
        {
            **asdict(plan),
            "steps": run.steps,
            "minutes": run.minutes,
            "rounds": list(ROUNDS),
            "seed": run.seed,
            "steps_done": steps_done,
            "minutes_spent": round(minutes_spent, 1),
        },
        (_same_stretch(model, validation),),
    )


def _round_plan(run: AudioRun, number: int) -> Plan:
    """Returns the plan of a round, which has its share of the steps and minutes."""
    steps = max(1, round(ROUNDS[number] * run.steps))
    return Plan(
        steps=steps,
        minutes=run.minutes and ROUNDS[number] * run.minutes,
        learning_rate=2e-3,
        warm_up=max(1, steps // 10),
        validate_every=100,
        seed=run.seed + number,
    )


def _round(number: int) -> str:
    return f"round-{number}"


def _pairs(model: ConvolutionalEncoder, spectra: Spectra, path: Path, run: AudioRun) -> MinedPairs:
    """Mines pairs with the weights that the round before ended with, and stores them for a resumption."""
    if run.resume and path.is_file():
        return MinedPairs.load(path)
    pairs = mine(model, spectra, PAIRS, run.seed, run.device)
    pairs.save(path)
    return pairs


@torch.no_grad()
def _same_stretch(model: ConvolutionalEncoder, batches: list[ViewBatch]) -> Metric:
    """Measures how often the vector nearest to a stretch's is that of its other view, disturbed in another
    way, in recordings that were not trained on.

    floor: chance; baseline: averaged MFCC (`naive`).
    """
    accuracy, naive, chance = [], [], []
    for batch in batches:
        frames = both_views(model, batch)
        vectors = torch.stack([span_vectors(model, frames[view], batch, view) for view in (0, 1)])
        accuracy.append(nt_xent(vectors, batch.span_places, 1.0)[1])
        cepstra = torch.stack([_naive(batch, view) for view in (0, 1)])
        naive.append(nt_xent(cepstra, batch.span_places, 1.0)[1])
        chance.append(1 / (2 * len(batch.span_rows) - 1))
    return Metric(
        "same_stretch_accuracy",
        value=float(torch.stack(accuracy).mean()),
        floor=sum(chance) / len(chance),
        baseline=float(torch.stack(naive).mean()),
    )


def _naive(batch: ViewBatch, view: int) -> Tensor:
    """Returns the spans' mean MFCC in equal parts, (N, parts x 39)."""
    rows = []
    for features, length in zip(batch.features[view], batch.lengths[view].tolist(), strict=True):
        (cepstra,) = audio.normalise([audio.cepstra(features[:length])])
        rows.append(torch.nn.functional.pad(cepstra, (0, 0, 0, features.shape[0] - length)))
    start, stop = batch.spans[view].T
    return part_means(torch.stack(rows), batch.span_rows, start, stop, NAIVE_PARTS)


_AUTOENCODER = AudioRecipe(
    name="sa",
    model="sa",
    config=SequenceAutoencoderConfig(),
    learn=_learn_segments,
    steps=20_000,
    description="Sequence-to-sequence auto-encoder of MFCC segments; the encoder's last state is the vector.",
    source="Chung et al., Interspeech 2016, arXiv 1603.00982",
    supervision=UNSUPERVISED,
    scale="hidden 256 (paper: 100); hours of data as stated (paper: 500 h of audio books)",
)
recipe(_AUTOENCODER)
recipe(
    replace(
        _AUTOENCODER,
        name="dsa",
        model="dsa",
        description="De-noising sequence-to-sequence auto-encoder: hears a noisy segment, rebuilds the clean "
        "one.",
    )
)
recipe(
    AudioRecipe(
        name="filterbank",
        model="filterbank",
        config=FilterbankConfig(),
        learn=_measure_bands,
        steps=1,
        temporary=(),
        description="Log-mel energies, normalised by what a recording and a corpus know together; cepstra of "
        "natural weight and their differences, six parts of a span side by side.",
        source="Gauvain and Lee, IEEE Transactions on Speech and Audio Processing 1994; Furui, IEEE "
        "Transactions on Acoustics, Speech, and Signal Processing 1986",
        scale="80 numbers measured, nothing trained",
        supervision=MEASURED,
    )
)
recipe(
    AudioRecipe(
        name="contrastive",
        model="contrastive",
        config=SMALL,
        learn=_learn_views,
        steps=3_000,
        temporary=tuple(_round(number) for number in range(len(ROUNDS))),
        description="Convolutional network that tells stretches of an archive apart, whoever says them; "
        "learns from the archive's own sound, disturbed, and from pairs that it finds in it.",
        source="Chen et al., ICML 2020, arXiv 2002.05709; Algayres et al., Interspeech 2022, "
        "arXiv 2204.05148",
        scale="0.2 million parameters (Algayres et al.: a transformer over the frames of wav2vec 2.0); hours "
        "of data as stated",
        supervision=MINED,
    )
)
recipe(
    AudioRecipe(
        name="correspondence",
        model="correspondence",
        config=SMALL,
        learn=_learn_views,
        steps=3_000,
        temporary=tuple(_round(number) for number in range(len(ROUNDS))),
        description="Correspondence auto-encoder on a convolutional network: from a stretch's vector it "
        "rebuilds the stretch that corresponds, itself undisturbed or one found in the archive.",
        source="Kamper, ICASSP 2019, arXiv 1811.00403",
        scale="0.4 million parameters, pooled convolutions (paper: recurrent); hours of data as stated",
        supervision=MINED,
    )
)
