"""End-to-end training of `wordspot`: an isolated word is to be embedded as it is in its sentence.

Four losses over the frames of 20 ms:
- frames: the cosine distance to the teacher's, whose input is the whole clip, clean; the student's is
  disturbed (`augmentation`), and in half of the rows cut out of its sentence, with silence or noise around
  it;
- relations: relational distillation from the teacher (Park et al., "Relational Knowledge Distillation", CVPR
  2019);
- words: supervised contrastive loss (Khosla et al., "Supervised Contrastive Learning", 2020, eq. 2) on the
  vectors of one word by two speakers, and on its frames pooled in five parts, often one of them isolated and
  one in its sentence;
- phones, classified from the frames by heads that are no part of the artifact.

The convolutions and the first block are frozen: trained whole, the network forgets more than so few hours
teach it. A stretch in its sentence lies at any position of the window, as regions are long.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from wordspot.models.encoders.losses import relational_distillation_loss, supervised_contrastive_loss
from wordspot.models.encoders.map_training import (
    FINE_PARTS,
    FIRST_SCALE,
    NO_PHONE,
    PHONE_SHARPNESS,
)
from wordspot.models.encoders.pooled import part_means
from wordspot.models.encoders.transformer import Transformer, TransformerConfig
from wordspot.models.encoders.utterances import NO_WORD, UtteranceBatch, UtteranceRows
from wordspot.models.model import Loss, Model

FRAMES_COMPARED = 768
FROZEN_BLOCKS = 1
FINE_WEIGHT, FRAMES_WEIGHT, RELATIONS_WEIGHT, PHONES_WEIGHT = 0.7, 6.0, 1.0, 0.1


class TransformerTraining(Model[TransformerConfig]):
    """The model with the parts that only training needs.

    phones: how many kinds each corpus has. frozen_blocks: of the model, from the first on; with any, the
    convolutions are frozen too.
    """

    def __init__(self, model: Transformer, phones: Sequence[int], frozen_blocks: int = FROZEN_BLOCKS) -> None:
        super().__init__(model.config)
        self.model, self._frozen_blocks = model, frozen_blocks
        self.phones = nn.ModuleList([nn.Linear(model.frame_dimension, max(count, 1)) for count in phones])
        self.scale = nn.Parameter(torch.tensor(FIRST_SCALE))
        self.fine_scale = nn.Parameter(torch.tensor(FIRST_SCALE))
        for parameter in self._fixed():
            parameter.requires_grad_(False)

    def loss(self, player: str, batch: UtteranceBatch, rng: Generator) -> Loss:
        views = (batch.isolated, batch.context)
        frames = [normalize(self.model(rows.features, origin=rows.origin), dim=2) for rows in views]
        terms = self._words(views, frames)
        student = torch.cat([view[rows.has_target] for view, rows in zip(frames, views, strict=True)])
        teacher = torch.cat([rows.targets[rows.has_target] for rows in views])
        sample = torch.randint(len(student), (FRAMES_COMPARED,), generator=rng, device=rng.device)
        terms["frames"] = FRAMES_WEIGHT * (1 - (student * teacher).sum(dim=1).mean())
        terms["relations"] = RELATIONS_WEIGHT * relational_distillation_loss(student[sample], teacher[sample])
        terms["phones"] = PHONES_WEIGHT * self._phones(views, frames)
        value = torch.stack(list(terms.values())).sum()
        return Loss(value, {name: float(term.detach()) for name, term in terms.items()})

    def players(self) -> Mapping[str, Sequence[nn.Parameter]]:
        fixed = {id(parameter) for parameter in self._fixed()}
        return {"model": [parameter for parameter in self.parameters() if id(parameter) not in fixed]}

    def _fixed(self) -> list[nn.Parameter]:
        if not self._frozen_blocks:
            return []
        parts = [self.model.first, self.model.second, *list(self.model.blocks)[: self._frozen_blocks]]
        return [parameter for part in parts for parameter in part.parameters()]

    def quality(self, batch: UtteranceBatch, rng: Generator) -> Tensor:
        """Returns the loss but for that of the phones, whose heads start from nothing."""
        figures = self.loss("model", batch, rng).figures
        return torch.tensor(figures["words"] + figures["fine"] + figures["frames"])

    def _words(self, views: Sequence[UtteranceRows], frames: Sequence[Tensor]) -> dict[str, Tensor]:
        vectors, fine = (
            torch.cat([pool(view, rows) for view, rows in zip(frames, views, strict=True)])
            for pool in (self.vectors, self._fine)
        )
        word = torch.cat([rows.word for rows in views])
        corpus = torch.cat([rows.corpus for rows in views])
        zero = self.scale.new_zeros(())
        terms = {"words": zero, "fine": zero}
        for number in sorted(set(corpus.tolist())):
            members = (corpus == number) & (word != NO_WORD)
            if int(members.sum()) > 2:
                terms["words"] = terms["words"] + supervised_contrastive_loss(
                    vectors[members], word[members], self.scale.exp()
                )
                terms["fine"] = terms["fine"] + FINE_WEIGHT * supervised_contrastive_loss(
                    fine[members], word[members], self.fine_scale.exp()
                )
        return terms

    def _phones(self, views: Sequence[UtteranceRows], frames: Sequence[Tensor]) -> Tensor:
        value = self.scale.new_zeros(())
        for number, head in enumerate(self.phones):
            masks = [
                (rows.phones != NO_PHONE) & rows.has_target & (rows.corpus == number)[:, None]
                for rows in views
            ]
            labelled = torch.cat([view[mask] for view, mask in zip(frames, masks, strict=True)])
            if len(labelled):
                kinds = torch.cat([rows.phones[mask] for rows, mask in zip(views, masks, strict=True)])
                value = value + cross_entropy(head(PHONE_SHARPNESS * labelled), kinds)
        return value

    def vectors(self, frames: Tensor, rows: UtteranceRows) -> Tensor:
        """Returns unit vectors (B, dimension) of the words in frames (B, T / 2, H)."""
        number = torch.arange(len(frames), device=frames.device)
        return normalize(self.model.pool(frames, number, rows.start, rows.stop), dim=1)

    def _fine(self, frames: Tensor, rows: UtteranceRows) -> Tensor:
        number = torch.arange(len(frames), device=frames.device)
        return normalize(part_means(frames, number, rows.start, rows.stop, FINE_PARTS), dim=1)


@torch.no_grad()
def isolated_average_precision(training: TransformerTraining, batches: Sequence[UtteranceBatch]) -> float:
    """Returns the mean average precision of isolated words as queries for the same word in its sentence.

    All words in their sentences are ranked by cosine similarity.
    """
    values = []
    for batch in batches:
        queries, places = (
            training.vectors(normalize(training.model(rows.features, origin=rows.origin), dim=2), rows)
            for rows in (batch.isolated, batch.context)
        )
        similar = queries @ places.T
        for number in range(len(queries)):
            if batch.isolated.word[number] == NO_WORD:
                continue
            relevant = (batch.context.word == batch.isolated.word[number]) & (
                batch.context.corpus == batch.isolated.corpus[number]
            )
            if bool(relevant.any()):
                hits = relevant[similar[number].argsort(descending=True)].nonzero()[:, 0] + 1
                values.append(float((torch.arange(1, len(hits) + 1) / hits).mean()))
    return math.fsum(values) / len(values)
