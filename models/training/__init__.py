"""Recipes of the encoders of speech; those of other models stand in the files of their models."""
