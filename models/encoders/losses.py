"""Losses that several encoders of speech share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, softmax

RELATION_TEMPERATURE = 0.1


def supervised_contrastive_loss(unit: Tensor, word: Tensor, scale: Tensor) -> Tensor:
    """Returns the mean over rows of the negative log-likelihood of the rows of the same word.

    Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, arXiv 2004.11362, equation 2.

    Args:
        unit: float32 (B, D), rows of unit length, of which at least two share each word.
        word: int64 (B,).
        scale: Scalar, the inverse temperature.
    """
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    log_likelihood = (unit @ unit.T * scale).masked_fill(itself, -1e4).log_softmax(dim=1)
    same = (word[:, None] == word) & ~itself
    return -((log_likelihood * same).sum(dim=1) / same.sum(dim=1)).mean()


def relational_distillation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Returns the Kullback-Leibler divergence of the student's relations from the teacher's.

    Relational distillation (Park et al., "Relational Knowledge Distillation", CVPR 2019): the relations of
    a row are the softmax of its inner products with the teacher's rows, at a temperature (Hinton, Vinyals
    and Dean 2015).

    Args:
        student: float32 (n, H), rows of unit length.
        teacher: float32 (n, H), rows of unit length.
    """
    targets = softmax(teacher @ teacher.T / RELATION_TEMPERATURE, dim=1)
    log_relations = log_softmax(student @ teacher.T / RELATION_TEMPERATURE, dim=1)
    return kl_div(log_relations, targets, reduction="batchmean")
