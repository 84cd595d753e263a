"""What can go wrong with models, by what the caller can do about it."""

from __future__ import annotations


class ModelError(Exception):
    """Base of everything the models raise on purpose."""


class UnknownModel(ModelError, LookupError):
    """No model class or artifact of that name."""


class DamagedArtifact(ModelError):
    """A file of the artifact is missing, unreadable or does not match its hash."""


class MissingWeights(ModelError):
    """Weights or a library that a model builds upon are not on this machine, or not the ones expected."""


class SynthesisError(ModelError):
    """A synthesiser is not installed, cannot be initialised or lacks a voice."""


class BadInput(ModelError, ValueError):
    """Data or settings that the model cannot use."""
