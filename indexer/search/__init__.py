"""Search: a query is embedded, its candidates are aligned with it, their scores normalised and calibrated."""
