"""Fuzzing of everything that takes a caller's bytes: `python -m tests.fuzz`, or `make fuzz`.

An input is drawn from (seed, target, number) alone, so that each can be drawn again without those before it.
"""
