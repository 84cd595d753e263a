"""`text_to_face`: faces from descriptions (Reed et al., Generative adversarial text to image synthesis,
2016; the lecture's example of conditional generation).

    sample(10, rng, condition="red hair, long hair")

The discriminator is matching-aware (the paper's GAN-CLS, algorithm 1): it tells a real picture with its text
from a generated one with that text and from a real one with a mismatched text, in equal shares.

    -log s(x, t) - (log (1 - s(x, t')) + log (1 - s(G(z, t), t))) / 2

It scores by a product of picture and text (Miyato and Koyama 2018). As eyes are a few pixels, its features
also have to classify the traits, of real pictures in the discriminator's loss and of generated ones in the
generator's (Odena et al. 2017, AC-GAN).

A phrase is two words, such as "red" and "hair", whose vectors are learned; a text is the sum of its phrases.
"red" is the same word of hair and of eyes, and the order of phrases makes no difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, leaky_relu, normalize, relu

from wordspot.models import frechet
from wordspot.models.conditional.descriptions import FREE, Descriptions
from wordspot.models.datasets.faces import EYES, HAIR
from wordspot.models.datasets.picture_batches import PictureBatch
from wordspot.models.generators.gan import PLAN, Adversarial, GanConfig
from wordspot.models.generators.interpolation import interpolate
from wordspot.models.generators.networks import SLOPE
from wordspot.models.generators.objectives import Critic, Scored
from wordspot.models.model import Loss
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register

CHUNK_PICTURES = 500


@dataclass(frozen=True)
class TextToFaceConfig(GanConfig):
    """The shape of a text-to-face GAN.

    Attributes:
        text: numbers of a text's vector, the last of the code.
        weight: of the classification of traits.
        hair, eyes: the words for colours, two of each or more.
    """

    height: int = 48
    width: int = 48
    channels: int = 3
    penalty: float = 1.0
    code: int = 80
    base: int = 24
    levels: int = 3
    text: int = 32
    weight: float = 0.5
    hair: tuple[str, ...] = tuple(HAIR)
    eyes: tuple[str, ...] = tuple(EYES)


class TextReader(nn.Module):
    """Embeds descriptions, int64 (B, traits), as vectors (B, size)."""

    def __init__(self, descriptions: Descriptions, size: int) -> None:
        super().__init__()
        self.sizes = descriptions.sizes
        self.words = nn.Embedding(len(descriptions.words), size)
        self.both = nn.Linear(size, size, bias=False)
        self.pairs: Tensor
        self.register_buffer("pairs", torch.tensor(descriptions.phrases), persistent=False)
        self.starts: Tensor
        self.register_buffer("starts", torch.tensor(descriptions.starts), persistent=False)

    def phrases(self) -> Tensor:
        """Returns the vectors of all phrases, (phrases, size)."""
        vectors: Tensor = self.both(leaky_relu(self.words(self.pairs).sum(dim=1), SLOPE))
        return vectors

    def forward(self, described: Tensor) -> Tensor:
        """Returns the codes (B, size) of descriptions, int64 (B, traits): the sums of their phrases."""
        return self.phrases()[described + self.starts].sum(dim=1)


class MatchingHead(nn.Module):
    """The discriminator's part for texts: matching with pictures, and classification of traits.

    `name` is the layer of the classification.
    """

    def __init__(self, descriptions: Descriptions, size: int, features: int) -> None:
        super().__init__()
        self.reader = TextReader(descriptions, size)
        self.match = nn.Linear(size, features, bias=False)
        self.name = nn.Linear(size, features, bias=False)

    def forward(self, features: Tensor, described: Tensor) -> Tensor:
        """Returns scores of the match of features (B, features) and descriptions, (B,)."""
        scores: Tensor = (self.match(self.reader(described)) * features).sum(dim=1)
        return scores

    def phrase_loss(self, features: Tensor, described: Tensor) -> Tensor:
        """Returns the cross-entropy of the right phrases, summed over traits, nats."""
        logits = features @ self.name(self.reader.phrases()).T
        by_trait = torch.split(logits, list(self.reader.sizes), dim=1)
        parts = [cross_entropy(trait, right) for trait, right in zip(by_trait, described.T, strict=True)]
        return torch.stack(parts).sum()


class ConditionalGenerator(nn.Module):
    """Generates pictures (B, C, H, W), 0 to 1, from codes (B, code) whose last numbers are the text.

    At every size of the maps the text sets their scale and shift: conditional batch normalisation (de Vries
    et al. 2017), whose layers stored artifacts call `told`.
    """

    def __init__(self, config: TextToFaceConfig) -> None:
        super().__init__()
        self.text = config.text
        part = 2**config.levels
        widths = [config.base * 2**level for level in reversed(range(config.levels))]
        shape = (widths[0], config.height // part, config.width // part)
        self.first = nn.Sequential(
            nn.Linear(config.code, math.prod(shape), bias=False), nn.Unflatten(1, shape)
        )
        self.doublings = nn.ModuleList(
            nn.ConvTranspose2d(size, width, 4, stride=2, padding=1, bias=False)
            for size, width in zip([widths[0], *widths], widths, strict=False)
        )
        sizes = [widths[0], *widths]
        self.norms = nn.ModuleList(nn.BatchNorm2d(size, affine=False) for size in sizes)
        self.told = nn.ModuleList(nn.Linear(config.text, 2 * size) for size in sizes)
        self.last = nn.Sequential(nn.Conv2d(widths[-1], config.channels, 3, padding=1), nn.Sigmoid())

    def forward(self, codes: Tensor) -> Tensor:
        # All texts have one norm, also half-way between two codes.
        """Returns pictures (B, C, H, W) of codes (B, noise + text), of which the latter describe."""
        text = math.sqrt(self.text) * normalize(codes[:, -self.text :])
        maps = self.first(torch.cat([codes[:, : -self.text], text], dim=1))
        maps = self._modulated(maps, text, 0)
        for level, doubling in enumerate(self.doublings):
            maps = self._modulated(doubling(maps), text, level + 1)
        generated: Tensor = self.last(maps)
        return generated

    def _modulated(self, maps: Tensor, text: Tensor, level: int) -> Tensor:
        scale, shift = self.told[level](text)[:, :, None, None].chunk(2, dim=1)
        return relu((1 + scale) * self.norms[level](maps) + shift)


@register("text_to_face")
class TextToFace(Adversarial[TextToFaceConfig]):
    """A GAN whose codes are random numbers followed by the text's vector."""

    Config = TextToFaceConfig
    options = frozenset({"condition"})

    def __init__(self, config: TextToFaceConfig) -> None:
        super().__init__(config)
        self.unsaved |= {"matcher"}
        self.descriptions = Descriptions(config.hair, config.eyes)
        self.reader = TextReader(self.descriptions, config.text)
        self.generator = ConditionalGenerator(config)
        self.matcher = MatchingHead(self.descriptions, config.text, self.discriminator.features.size)

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        players = super().players()
        return {
            "generator": [*players["generator"], *self.reader.parameters()],
            "discriminator": [*players["discriminator"], *self.matcher.parameters()],
        }

    def sample(self, count: int, rng: Generator, *, condition: str = "") -> Tensor:
        """Returns faces (count, C, H, W), 0 to 1.

        Args:
            count: faces.
            rng: of the codes.
            condition: a description as `Descriptions.read` takes it; traits that it leaves open are random.

        Raises:
            BadInput: the description cannot be parsed.
        """
        return self.decode(self.codes(count, rng, condition=condition))

    def generate(self, count: int, rng: Generator, *, condition: str = "") -> Iterator[Tensor]:
        """Yields faces (C, H, W) of an interpolation through codes of the condition. Raises BadInput."""
        return interpolate(self.decode, partial(self.codes, condition=condition), count, rng)

    def codes(self, count: int, rng: Generator, *, condition: str = "") -> Tensor:
        """Returns random codes of the condition, (count, code). Raises BadInput as `sample`."""
        device = next(self.parameters()).device
        columns = [
            torch.randint(size, (count,), generator=rng, device=device)
            if value == FREE
            else torch.full((count,), value, device=device)
            for size, value in zip(self.descriptions.sizes, self.descriptions.read(condition), strict=True)
        ]
        return self.codes_of(torch.stack(columns, dim=1), rng)

    def codes_of(self, described: Tensor, rng: Generator) -> Tensor:
        """Returns random codes (B, code) of descriptions, int64 (B, traits)."""
        noise = super().codes(len(described), rng)[:, : -self.config.text]
        return torch.cat([noise, self.reader(described)], dim=1)

    def codes_for(self, batch: PictureBatch, rng: Generator) -> Tensor:
        """Returns random codes of the batch's descriptions."""
        return self.codes_of(self.descriptions.of_labels(batch.labels), rng)

    def critic(self, batch: PictureBatch) -> Critic:
        described = self.descriptions.of_labels(batch.labels)
        return lambda pictures: self._score(self.discriminator.features(pictures), described)

    def generator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        described = self.descriptions.of_labels(batch.labels)
        generated = self.decode(self.codes_of(described, rng))
        features = self.discriminator.features(generated)
        fake = Scored(generated, self._score(features, described))
        phrase_loss = self.matcher.phrase_loss(features, described)
        value = self.objective.generator(fake) + self.config.weight * phrase_loss
        return Loss(
            value,
            {"fake_score": float(fake.scores.detach().mean()), "phrase_loss": float(phrase_loss.detach())},
        )

    def discriminator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        described = self.descriptions.of_labels(batch.labels)
        with torch.no_grad():
            generated = self.fake_pictures(batch, rng)
        features, fake_features = self.discriminator.features(torch.cat([batch.pictures, generated])).chunk(2)
        real = Scored(batch.pictures, self._score(features, described))
        fake = Scored(generated, self._score(fake_features, described))
        mismatched = Scored(batch.pictures, self._score(features, self.mismatched(described, rng)))
        objective = sum(self.objective.discriminator(real, other) for other in (fake, mismatched)) / 2
        penalty = self.config.penalty * self.objective.penalty(self.critic(batch), real, fake, rng)
        phrase_loss = self.matcher.phrase_loss(features, described)
        figures = {
            "real": float(real.scores.detach().mean()),
            "mismatched_score": float(mismatched.scores.detach().mean()),
            "phrase_loss": float(phrase_loss.detach()),
        }
        return Loss(objective + penalty + self.config.weight * phrase_loss, figures)

    def mismatched(self, described: Tensor, rng: Generator) -> Tensor:
        """Returns descriptions, int64 (B, traits), that differ in one trait or more.

        Some are of held-out kinds. As a text is a sum of phrases, that leaks nothing about them, and no
        picture of them is shown.
        """
        count, traits = described.shape
        sizes = torch.tensor(self.descriptions.sizes, device=described.device)
        steps = 1 + (torch.rand((count, traits), generator=rng, device=sizes.device) * (sizes - 1)).long()
        uniform = torch.rand((count, traits), generator=rng, device=sizes.device)
        changed = (uniform < 0.5) | (uniform == uniform.amin(dim=1, keepdim=True))
        return torch.where(changed, (described + steps) % sizes, described)

    def quality(self, batch: PictureBatch, rng: Generator) -> Tensor:
        """Returns the Fréchet distance as the base does, of pictures of the batch's descriptions."""
        described = self.descriptions.of_labels(batch.labels)
        generated = torch.cat(
            [self.decode(self.codes_of(part, rng)) for part in torch.split(described, CHUNK_PICTURES)]
        )
        features = (frechet.random_features(pictures) for pictures in (batch.pictures, generated))
        return torch.tensor(frechet.distance(*features), device=generated.device)

    def _score(self, features: Tensor, described: Tensor) -> Tensor:
        scores: Tensor = self.discriminator.score(features)[:, 0] + self.matcher(features, described)
        return scores


recipe(
    PictureRecipe(
        name="face-from-text",
        model="text_to_face",
        config=TextToFaceConfig(),
        pictures="faces",
        batch_size=32,
        plan=replace(PLAN, steps=10_000, learning_rate=4e-4, validate_every=1_000),
        description="Draws faces as they are described: colours of hair and eyes, length of hair.",
        supervision="what each training picture shows, in words",
        thresholds={"attributes_right": 0.9, "all_right": 0.75, "shuffled_texts": 0.4},
        scale="pictures of 48x48 (paper: 64x64); texts of 24 words, summed (paper: sentences, read by a "
        "network trained before)",
        source="Reed et al. 2016, Generative adversarial text to image synthesis (GAN-CLS)",
    )
)
