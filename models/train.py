"""Training recipes: from a folder of audio to an artifact.

A recipe says how a model learns and what its card tells. The convolutional ones learn in rounds: first from
the audio alone, then from pairs that the network of the round before found in it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wordspot.models import artifact, audio, trainer
from wordspot.models.artifact import ArtifactCard, Metric
from wordspot.models.datasets import spectra as spectra_of
from wordspot.models.datasets import views
from wordspot.models.datasets.segments import SegmentBatch, SegmentData
from wordspot.models.datasets.spectra import Spectra
from wordspot.models.datasets.views import ContrastiveData, Pairs, ViewBatch
from wordspot.models.encoders.contrastive import both_views, nt_xent, span_vectors
from wordspot.models.encoders.convolutional import ConvolutionalConfig, ConvolutionalEncoder
from wordspot.models.encoders.mining import mine
from wordspot.models.encoders.pooled import part_means
from wordspot.models.encoders.sequence_autoencoder import SequenceAutoencoder, SequenceAutoencoderConfig
from wordspot.models.errors import UnknownModel
from wordspot.models.model import Model
from wordspot.models.registry import model_class
from wordspot.models.trainer import Plan, Progress

ROUNDS = (4 / 6, 1 / 6, 1 / 6)  # shares of the steps; pairs are mined before every round but the first
PAIRS = 1_000
NAIVE_PARTS = 10
SMALL = ConvolutionalConfig(width=96, dilations=(1, 2, 4, 1, 2))


@dataclass(frozen=True)
class Run:
    """One training as it was asked for. steps are given or the recipe's."""

    name: str
    data: Path
    out: Path
    resume: bool
    seed: int
    steps: int
    minutes: float | None
    device: str
    report: Callable[[Progress], None]


@dataclass(frozen=True)
class Learned:
    """A trained model on the CPU and what its card tells: of the data, the budget and how good it is."""

    model: Model[Any]
    data: Mapping[str, Any]
    budget: Mapping[str, Any]
    metrics: tuple[Metric, ...]


UNSUPERVISED = "none: neither transcripts nor word boundaries"
MINED = (
    f"{UNSUPERVISED}; the ranking of mined pairs and their number were chosen once with a look at the words "
    "of an annotated English archive"
)


@dataclass(frozen=True)
class Recipe:
    """description, source, supervision, scale: for the card. temporary: what `learn` leaves in the folder
    for a resumption, to be taken away once the artifact is written."""

    learn: Callable[[Run], Learned]
    steps: int
    temporary: tuple[str, ...]
    description: str
    source: str
    scale: str
    supervision: str = UNSUPERVISED


def train(
    name: str,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    seed: int = 0,
    steps: int | None = None,
    minutes: float | None = None,
    device: str = "cpu",
    licence: str = "",
    data_note: str = "",
    report: Callable[[Progress], None] = lambda progress: None,
) -> ArtifactCard:
    """Trains an encoder on every audio file below a folder and writes the artifact.

    name: of a recipe. out: the artifact's folder; holds checkpoints meanwhile. steps, minutes: whichever ends
    first. device: "cpu" or "cuda". Raises UnknownModel, BadInput.
    """
    if name not in RECIPES:
        raise UnknownModel(f"cannot train {name!r}; {' or '.join(RECIPES)} is allowed")
    recipe = RECIPES[name]
    torch.manual_seed(seed)
    learned = recipe.learn(Run(name, data, out, resume, seed, steps or recipe.steps, minutes, device, report))
    card = ArtifactCard(
        name=name,
        model=name,
        config={},
        weights_sha256="",
        description=recipe.description,
        source=recipe.source,
        data={"note": data_note or f"audio files below a folder named {data.name!r}", **learned.data},
        supervision=recipe.supervision,
        scale=recipe.scale,
        licence=licence,
        seed=seed,
        budget=learned.budget,
        metrics=learned.metrics,
    )
    card = artifact.save(learned.model, card, out, half=True)
    for left in recipe.temporary:
        path = out / left
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return card


def _learn_segments(run: Run) -> Learned:
    """SA and DSA."""
    segments = SegmentData(run.data, run.seed)
    model = model_class(run.name)(SequenceAutoencoderConfig())
    assert isinstance(model, SequenceAutoencoder)
    plan = Plan(steps=run.steps, minutes=run.minutes, seed=run.seed)
    progress = trainer.fit(
        model, segments, plan, run.out, device=run.device, resume=run.resume, report=run.report
    )
    model.to("cpu")
    return Learned(
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
    """Squared error of rebuilding unseen clean segments; floor: zero; baseline: each segment's mean."""
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


def _learn_views(run: Run) -> Learned:
    """Contrastive and correspondence: a fit a round, each with a checkpoint of its own.

    A resumed training passes through the rounds that are done, since their checkpoints are complete.
    """
    spectra = spectra_of.of_files(views.of_folder(run.data))
    torch.manual_seed(run.seed)
    model = model_class(run.name)(SMALL)
    assert isinstance(model, ConvolutionalEncoder)
    done, spent, found = 0, 0.0, []
    for number, share in enumerate(ROUNDS):
        folder = run.out / _round(number)
        pairs = _pairs(model, spectra, folder / "pairs.npz", run) if number else Pairs.none()
        steps = max(1, round(share * run.steps))
        plan = Plan(
            steps=steps,
            minutes=run.minutes and share * run.minutes,
            learning_rate=2e-3,
            warm_up=max(1, steps // 10),
            validate_every=100,
            seed=run.seed + number,
        )
        begun = (folder / trainer.CHECKPOINT).is_file()
        progress = trainer.fit(
            model,
            ContrastiveData(spectra, model.normalise, plan.seed, pairs=pairs),
            plan,
            folder,
            device=run.device,
            resume=run.resume and (begun or number == 0),
            report=run.report,
        )
        done, spent = done + progress.step, spent + progress.minutes
        found += [len(pairs)] if number else []
    model.to("cpu").eval()
    held = ContrastiveData(spectra, model.normalise, run.seed).validation()
    return Learned(
        model,
        {
            "files": len(spectra.names),
            "hours": round(spectra.seconds / 3600, 3),
            "sha256_of_names_and_lengths": spectra.sha256,
            "mined_pairs": found,
        },
        {
            **asdict(plan),
            "steps": run.steps,
            "minutes": run.minutes,
            "rounds": list(ROUNDS),
            "seed": run.seed,
            "steps_done": done,
            "minutes_spent": round(spent, 1),
        },
        (_same_stretch(model, held),),
    )


def _round(number: int) -> str:
    return f"round-{number}"


def _pairs(model: ConvolutionalEncoder, spectra: Spectra, path: Path, run: Run) -> Pairs:
    """Mined with the weights that the round before ended with; kept for a resumption."""
    if run.resume and path.is_file():
        return Pairs.load(path)
    pairs = mine(model, spectra, PAIRS, run.seed, run.device)
    pairs.save(path)
    return pairs


@torch.no_grad()
def _same_stretch(model: ConvolutionalEncoder, batches: list[ViewBatch]) -> Metric:
    """How often the vector nearest to a stretch's is that of its other view, disturbed in another way, in
    recordings that were not trained on; floor: chance; baseline: averaged MFCC (`naive`)."""
    mine, naive, chance = [], [], []
    for batch in batches:
        frames = both_views(model, batch)
        own = torch.stack([span_vectors(model, frames[view], batch, view) for view in (0, 1)])
        mine.append(nt_xent(own, batch.span_places, 1.0)[1])
        cepstra = torch.stack([_naive(batch, view) for view in (0, 1)])
        naive.append(nt_xent(cepstra, batch.span_places, 1.0)[1])
        chance.append(1 / (2 * len(batch.span_rows) - 1))
    return Metric(
        "same_stretch_accuracy",
        value=float(torch.stack(mine).mean()),
        floor=sum(chance) / len(chance),
        baseline=float(torch.stack(naive).mean()),
    )


def _naive(batch: ViewBatch, view: int) -> Tensor:
    """(N, parts x 39): the spans' mean MFCC in equal parts."""
    rows = []
    for features, length in zip(batch.features[view], batch.lengths[view].tolist(), strict=True):
        (cepstra,) = audio.normalise([audio.cepstra(features[:length])])
        rows.append(torch.nn.functional.pad(cepstra, (0, 0, 0, features.shape[0] - length)))
    start, stop = batch.spans[view].T
    return part_means(torch.stack(rows), batch.span_rows, start, stop, NAIVE_PARTS)


_AUTOENCODER = Recipe(
    learn=_learn_segments,
    steps=20_000,
    temporary=(trainer.CHECKPOINT,),
    description="Sequence-to-sequence auto-encoder of MFCC segments; the encoder's last state is the vector.",
    source="Chung et al., Interspeech 2016, arXiv 1603.00982",
    scale="hidden 256 (paper: 100); hours of data as stated (paper: 500 h of audio books)",
)
RECIPES: Mapping[str, Recipe] = {
    "sa": _AUTOENCODER,
    "dsa": replace(
        _AUTOENCODER,
        description="De-noising sequence-to-sequence auto-encoder: hears a noisy segment, rebuilds the clean "
        "one.",
    ),
    "contrastive": Recipe(
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
    ),
    "correspondence": Recipe(
        learn=_learn_views,
        steps=3_000,
        temporary=tuple(_round(number) for number in range(len(ROUNDS))),
        description="Correspondence auto-encoder on a convolutional network: from a stretch's vector it "
        "rebuilds the stretch that corresponds, itself undisturbed or one found in the archive.",
        source="Kamper, ICASSP 2019, arXiv 1811.00403",
        scale="0.4 million parameters, pooled convolutions (paper: recurrent); hours of data as stated",
        supervision=MINED,
    ),
}
