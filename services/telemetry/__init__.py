"""What a running service tells of itself: figures, logs, traces."""
