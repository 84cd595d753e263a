"""Vectors: the indexes in which the nearest spans of a query are found."""
