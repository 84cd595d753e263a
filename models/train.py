"""Training recipes: from a folder of audio to an artifact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from wordspot.models import artifact, trainer
from wordspot.models.artifact import ArtifactCard, Metric
from wordspot.models.datasets.segments import SegmentBatch, SegmentData
from wordspot.models.encoders.sequence_autoencoder import SequenceAutoencoder, SequenceAutoencoderConfig
from wordspot.models.errors import UnknownModel
from wordspot.models.registry import model_class
from wordspot.models.trainer import Plan, Progress

DESCRIPTIONS = {
    "sa": "Sequence-to-sequence auto-encoder of MFCC segments; the encoder's last state is the vector.",
    "dsa": "De-noising sequence-to-sequence auto-encoder: hears a noisy segment, rebuilds the clean one.",
}
STEPS = 20_000


def train(
    name: str,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    seed: int = 0,
    steps: int = STEPS,
    minutes: float | None = None,
    device: str = "cpu",
    licence: str = "",
    data_note: str = "",
    report: Callable[[Progress], None] = lambda progress: None,
) -> ArtifactCard:
    """Trains SA or DSA on every audio file below a folder, without labels, and writes the artifact.

    name: "sa" or "dsa". out: the artifact's folder; holds the checkpoint meanwhile. device: "cpu" or
    "cuda". Raises UnknownModel, BadInput.
    """
    if name not in DESCRIPTIONS:
        raise UnknownModel(f"cannot train {name!r}; {' or '.join(DESCRIPTIONS)} is allowed")
    torch.manual_seed(seed)
    segments = SegmentData(data, seed)
    model = model_class(name)(SequenceAutoencoderConfig())
    assert isinstance(model, SequenceAutoencoder)
    plan = Plan(steps=steps, minutes=minutes, seed=seed)
    progress = trainer.fit(model, segments, plan, out, device=device, resume=resume, report=report)
    model.to("cpu")
    card = ArtifactCard(
        name=name,
        model=name,
        config={},
        weights_sha256="",
        description=DESCRIPTIONS[name],
        source="Chung et al., Interspeech 2016, arXiv 1603.00982",
        data={
            "note": data_note or f"audio files below a folder named {data.name!r}",
            "files": segments.files,
            "hours": round(segments.seconds / 3600, 3),
            "sha256_of_names_and_lengths": segments.sha256,
        },
        supervision="none: neither transcripts nor word boundaries",
        scale="hidden 256 (paper: 100); hours of data as stated (paper: 500 h of audio books)",
        licence=licence,
        seed=seed,
        budget={**asdict(plan), "steps_done": progress.step, "minutes_spent": round(progress.minutes, 1)},
        metrics=(_reconstruction(model, segments.validation()),),
    )
    card = artifact.save(model, card, out, half=True)
    (out / trainer.CHECKPOINT).unlink(missing_ok=True)
    return card


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
