"""`text_to_face`: a face as it is described (Reed et al., Generative adversarial text to image synthesis,
2016; the lecture's example of conditional generation).

    sample(10, rng, condition="red hair, long hair")

The discriminator is aware of the match (the paper's GAN-CLS, algorithm 1): what it is to tell from a real
picture with its text is a drawn one with that text and a real one with a wrong text, in equal shares.

    -log s(x, t) - (log (1 - s(x, t')) + log (1 - s(G(z, t), t))) / 2

It scores by a product of picture and text (Miyato and Koyama 2018). As eyes are a few pixels, its features
have to name what there is to see besides, of real pictures for its own sake and of drawn ones for the
generator's (Odena et al. 2017, AC-GAN): out of all phrases about hair the one that fits, and so on.

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
from wordspot.models.generators.networks import SLOPE
from wordspot.models.generators.objectives import Critic, Judged
from wordspot.models.generators.walk import walk
from wordspot.models.model import Loss
from wordspot.models.recipe import PictureRecipe, recipe
from wordspot.models.registry import register

AT_ONCE = 500


@dataclass(frozen=True)
class TextToFaceConfig(GanConfig):
    """text: numbers of a text's vector, the last of the code. weight: of naming what there is to see.
    hair, eyes: the words for colours, two of each or more."""

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
    """Descriptions, int64 (B, traits), to vectors (B, size)."""

    def __init__(self, known: Descriptions, size: int) -> None:
        super().__init__()
        self.sizes = known.sizes
        self.words = nn.Embedding(len(known.words), size)
        self.both = nn.Linear(size, size, bias=False)
        self.pairs: Tensor
        self.register_buffer("pairs", torch.tensor(known.phrases), persistent=False)
        self.starts: Tensor
        self.register_buffer("starts", torch.tensor(known.starts), persistent=False)

    def phrases(self) -> Tensor:
        """(phrases, size)."""
        vectors: Tensor = self.both(leaky_relu(self.words(self.pairs).sum(dim=1), SLOPE))
        return vectors

    def forward(self, described: Tensor) -> Tensor:
        return self.phrases()[described + self.starts].sum(dim=1)


class Matcher(nn.Module):
    """What a discriminator knows of texts. features: numbers that a picture is seen as."""

    def __init__(self, known: Descriptions, size: int, features: int) -> None:
        super().__init__()
        self.reader = TextReader(known, size)
        self.match = nn.Linear(size, features, bias=False)
        self.name = nn.Linear(size, features, bias=False)

    def forward(self, features: Tensor, described: Tensor) -> Tensor:
        """How well they fit, (B,)."""
        fitting: Tensor = (self.match(self.reader(described)) * features).sum(dim=1)
        return fitting

    def misnamed(self, features: Tensor, described: Tensor) -> Tensor:
        """Nats of the right phrase among all of its trait, summed over traits, a scalar."""
        logits = features @ self.name(self.reader.phrases()).T
        each = torch.split(logits, list(self.reader.sizes), dim=1)
        parts = [cross_entropy(some, right) for some, right in zip(each, described.T, strict=True)]
        return torch.stack(parts).sum()


class Painter(nn.Module):
    """Codes (B, code), text last, to pictures (B, C, H, W), 0 to 1. At every size of the maps the text says
    how bright each of them is and how much it varies (de Vries et al. 2017)."""

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
        # All texts are of one length, also half-way between two codes.
        text = math.sqrt(self.text) * normalize(codes[:, -self.text :])
        maps = self.first(torch.cat([codes[:, : -self.text], text], dim=1))
        maps = self._told(maps, text, 0)
        for level, doubling in enumerate(self.doublings):
            maps = self._told(doubling(maps), text, level + 1)
        drawn: Tensor = self.last(maps)
        return drawn

    def _told(self, maps: Tensor, text: Tensor, level: int) -> Tensor:
        scale, shift = self.told[level](text)[:, :, None, None].chunk(2, dim=1)
        return relu((1 + scale) * self.norms[level](maps) + shift)


@register("text_to_face")
class TextToFace(Adversarial[TextToFaceConfig]):
    """Codes are random numbers, then the text's vector."""

    Config = TextToFaceConfig
    options = frozenset({"condition"})

    def __init__(self, config: TextToFaceConfig) -> None:
        super().__init__(config)
        self.unsaved |= {"matcher"}
        self.known = Descriptions(config.hair, config.eyes)
        self.reader = TextReader(self.known, config.text)
        self.generator = Painter(config)
        self.matcher = Matcher(self.known, config.text, self.discriminator.features.size)

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        players = super().players()
        return {
            "generator": [*players["generator"], *self.reader.parameters()],
            "discriminator": [*players["discriminator"], *self.matcher.parameters()],
        }

    def sample(self, count: int, rng: Generator, *, condition: str = "") -> Tensor:
        """condition: what is described, as `Descriptions.read` takes it; what it does not say is drawn at
        random for each. Raises BadInput."""
        return self.decode(self.codes(count, rng, condition=condition))

    def generate(self, count: int, rng: Generator, *, condition: str = "") -> Iterator[Tensor]:
        """A walk through the codes. What the condition says holds all the way."""
        return walk(self.decode, partial(self.codes, condition=condition), count, rng)

    def codes(self, count: int, rng: Generator, *, condition: str = "") -> Tensor:
        """Raises BadInput."""
        device = next(self.parameters()).device
        columns = [
            torch.randint(size, (count,), generator=rng, device=device)
            if value == FREE
            else torch.full((count,), value, device=device)
            for size, value in zip(self.known.sizes, self.known.read(condition), strict=True)
        ]
        return self.codes_of(torch.stack(columns, dim=1), rng)

    def codes_of(self, described: Tensor, rng: Generator) -> Tensor:
        """described: int64 (B, traits). Returns (B, code)."""
        noise = super().codes(len(described), rng)[:, : -self.config.text]
        return torch.cat([noise, self.reader(described)], dim=1)

    def codes_for(self, batch: PictureBatch, rng: Generator) -> Tensor:
        """Of the same texts."""
        return self.codes_of(self.known.of_labels(batch.labels), rng)

    def critic(self, batch: PictureBatch) -> Critic:
        described = self.known.of_labels(batch.labels)
        return lambda pictures: self._score(self.discriminator.features(pictures), described)

    def generator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        described = self.known.of_labels(batch.labels)
        drawn = self.decode(self.codes_of(described, rng))
        seen = self.discriminator.features(drawn)
        fake = Judged(drawn, self._score(seen, described))
        misnamed = self.matcher.misnamed(seen, described)
        value = self.objective.generator(fake) + self.config.weight * misnamed
        return Loss(
            value, {"drawn": float(fake.scores.detach().mean()), "misdrawn": float(misnamed.detach())}
        )

    def discriminator_loss(self, batch: PictureBatch, rng: Generator) -> Loss:
        described = self.known.of_labels(batch.labels)
        with torch.no_grad():
            drawn = self.fakes(batch, rng)
        seen, seen_drawn = self.discriminator.features(torch.cat([batch.pictures, drawn])).chunk(2)
        real = Judged(batch.pictures, self._score(seen, described))
        fake = Judged(drawn, self._score(seen_drawn, described))
        wrong = Judged(batch.pictures, self._score(seen, self.wrong(described, rng)))
        told_apart = sum(self.objective.discriminator(real, other) for other in (fake, wrong)) / 2
        penalty = self.config.penalty * self.objective.penalty(self.critic(batch), real, fake, rng)
        misnamed = self.matcher.misnamed(seen, described)
        figures = {
            "real": float(real.scores.detach().mean()),
            "wrong": float(wrong.scores.detach().mean()),
            "misnamed": float(misnamed.detach()),
        }
        return Loss(told_apart + penalty + self.config.weight * misnamed, figures)

    def wrong(self, described: Tensor, rng: Generator) -> Tensor:
        """Descriptions that are wrong in one trait or more.

        Some name what is held out. A text being a sum of phrases, that gives nothing away of it, and no
        picture of it is shown.
        """
        count, traits = described.shape
        sizes = torch.tensor(self.known.sizes, device=described.device)
        steps = 1 + (torch.rand((count, traits), generator=rng, device=sizes.device) * (sizes - 1)).long()
        chance = torch.rand((count, traits), generator=rng, device=sizes.device)
        changed = (chance < 0.5) | (chance == chance.amin(dim=1, keepdim=True))
        return torch.where(changed, (described + steps) % sizes, described)

    def quality(self, batch: PictureBatch, rng: Generator) -> Tensor:
        """As of all adversaries, of pictures drawn by the batch's texts."""
        described = self.known.of_labels(batch.labels)
        drawn = torch.cat([self.decode(self.codes_of(part, rng)) for part in torch.split(described, AT_ONCE)])
        clouds = (frechet.random_features(some) for some in (batch.pictures, drawn))
        return torch.tensor(frechet.distance(*clouds), device=drawn.device)

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
