"""Models that draw, speak and write: one file each."""
