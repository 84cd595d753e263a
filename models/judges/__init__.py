"""Judges of models, one file a modality; wordspot.models.evaluation asks them."""
