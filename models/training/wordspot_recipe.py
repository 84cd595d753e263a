"""The recipe of `wordspot`, the default encoder, and of `phonetic`, the fast one.

    clips of every source -> log-mel, and the frames of two teachers -> corpora with words and phones
    Whisper tiny.en's encoder, hidden units pruned, under the map of `whisper-tiny.en` -> trained

The material is that of `distillation`, the start that of `initialisation`, the losses those of
`encoders.transformer_training`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wordspot.models import artifact, trainer
from wordspot.models.artifact import ArtifactCard, Metric, TrainingRecord
from wordspot.models.encoders.transformer import Transformer, TransformerConfig
from wordspot.models.encoders.transformer_training import TransformerTraining, isolated_average_precision
from wordspot.models.encoders.utterances import UtteranceData
from wordspot.models.recipe import Recipe, Report, recipe
from wordspot.models.trainer import Plan, Progress
from wordspot.models.training import distillation
from wordspot.models.training.distillation import ENGLISH_TEACHER, SOURCE_PLANS, DistillationMaterial
from wordspot.models.training.initialisation import START_WEIGHTS, from_whisper, from_wordspot

PLAN = Plan(steps=0, learning_rate=2e-4, warm_up=40, weight_decay=0.01, validate_every=50, ema_decay=0.98)


@dataclass(frozen=True)
class Design:
    """An encoder that is trained end to end.

    Attributes:
        name: Of the artifact.
        description: For the card.
        initialise: Returns the network before training, from the state folder and the material.
        start: What it starts from, for the card.
        frozen_blocks: How many of the first blocks do not train.
        steps: Of training.
        trained_share: Of the final weights, which lie between those before and those after training.
    """

    name: str
    description: str
    initialise: Callable[[Path, DistillationMaterial], Transformer]
    start: str
    frozen_blocks: int
    steps: int
    trained_share: float = 1.0


def train(
    design: Design,
    home: Path,
    out: Path,
    *,
    name: str | None = None,
    resume: bool = False,
    seed: int = 0,
    steps: int | None = None,
    minutes: float | None = None,
    device: str = "cpu",
    report: Report = lambda progress: None,
) -> ArtifactCard:
    """Trains an encoder and writes the artifact.

    Args:
        design: Which encoder.
        home: State folder (WORDSPOT_HOME).
        out: The artifact's folder, which holds the checkpoint meanwhile.
        name: Of the artifact, the design's where it is None.
        resume: Whether to go on from the checkpoint in `out`.
        seed: Of what is random.
        steps: Of training, the design's where it is None.
        minutes: Of training at most.
        device: As torch names it.
        report: Called after each validation.

    Raises:
        DatasetError, MissingWeights, UnknownModel, DamagedArtifact, BadInput: What it learns or starts from
            cannot be had, or there is nothing to resume.
    """
    torch.manual_seed(seed)
    material = distillation.material(home)
    model = design.initialise(home, material)
    training = TransformerTraining(model, material.phones, design.frozen_blocks)
    data = UtteranceData(material.corpora, model, seed, words=[plan.words for plan in SOURCE_PLANS])
    validation = data.validation()
    before = isolated_average_precision(training.eval(), validation)
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    plan = replace(PLAN, steps=steps or design.steps, minutes=minutes, seed=seed)
    progress = trainer.fit(
        training,
        data,
        plan,
        out,
        device=device,
        resume=resume,
        provenance=provenance(design, material),
        report=report,
    )
    training.to("cpu")
    interpolate(model, start, design.trained_share)
    after = isolated_average_precision(training, validation)
    metric = Metric("isolated_words_ap", after, floor=0.0, baseline=before)
    record = _record(design, model, material, plan, progress, metric)
    card = artifact.save(model, replace(record, name=name or design.name), out, half=True)
    (out / trainer.CHECKPOINT).unlink(missing_ok=True)
    return card


def provenance(design: Design, material: DistillationMaterial) -> dict[str, Any]:
    """Returns what beside model and plan decides the weights, for the trainer: design and data."""
    return {
        "design": design.name,
        "start": design.start,
        "frozen_blocks": design.frozen_blocks,
        "sources": [asdict(plan) for plan in SOURCE_PLANS],
        "data": material.learned_from,
        "sha256": [corpus.spectra.sha256 for corpus in material.corpora],
    }


def _record(
    design: Design,
    model: Transformer,
    material: DistillationMaterial,
    plan: Plan,
    progress: Progress,
    metric: Metric,
) -> TrainingRecord:
    return TrainingRecord(
        design.name,
        description=design.description,
        source=(
            "Radford et al. 2022 (Whisper); Khosla et al. 2020 (supervised contrastive loss); Park et al. "
            "2019 (relational distillation)"
        ),
        data={
            "note": (
                "word pairs of Flight of the Amazon Queen (training scenes without the clips of the "
                "development queries), of synthetic speech and of Italian telephone prompts; other clips "
                "without words; no Czech, no Slovak"
            ),
            **material.learned_from,
            "start": design.start,
        },
        supervision=(
            "word and phone times of the Queen's training scenes and of synthetic speech, equal phrases of "
            "telephone prompts; Whisper itself was trained on 680,000 h of transcribed speech"
        ),
        scale=(
            f"{model.config.layers} blocks of {model.config.states} with {model.config.feed_forward} hidden "
            "units each; Whisper tiny has 4 with 1,536"
        ),
        licence="Apache-2.0; Whisper's weights, from which it started: MIT",
        seed=plan.seed,
        budget={
            **asdict(plan),
            "steps_done": progress.step,
            "trained_share": design.trained_share,
            "minutes_spent": round(progress.minutes, 1),
        },
        metrics=(metric,),
    )


DESIGNS = (
    Design(
        "wordspot",
        "The smallest Whisper encoder, pruned and trained end to end to tell spoken words apart, in their "
        "sentences as well as cut out of them.",
        from_whisper,
        f"Whisper {START_WEIGHTS} under the map of {ENGLISH_TEACHER}",
        frozen_blocks=1,
        steps=800,
        trained_share=0.75,
    ),
    Design(
        "phonetic",
        "The first two blocks of `wordspot`, thinner, trained to hear what it hears: the fast encoder.",
        from_wordspot,
        "wordspot",
        frozen_blocks=0,
        steps=600,
    ),
)


@dataclass(frozen=True)
class DesignRecipe(Recipe):
    """An encoder that learns from word times by a design."""

    design: Design

    def train(self, home: Path, out: Path, **options: Any) -> ArtifactCard:
        """As the function `train`, with the design."""
        return train(self.design, home, out, name=self.name, **options)


for _design in DESIGNS:
    recipe(DesignRecipe(_design.name, "transformer", TransformerConfig(), _design.description, "", _design))


@torch.no_grad()
def interpolate(model: Transformer, start: Mapping[str, Tensor], share: float) -> None:
    """Interpolates in place between the weights before training and those after it, of which `share` counts.

    So less is forgotten of the languages that training does not hold (Wortsman et al., "Robust fine-tuning of
    zero-shot models", CVPR 2022).
    """
    for name, tensor in model.state_dict().items():
        tensor.copy_(torch.lerp(start[name], tensor, share))
