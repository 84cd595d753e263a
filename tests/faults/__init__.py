"""Faults of the disk below real processes: an interposer fails any of their calls, kills or logs them."""
