"""Options of wordspot search: which go together, and how queries are searched for by them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.filters import RecordingFilter
from wordspot.indexer.records import SPEED_VARIANTS, Mode
from wordspot.services.answers import SearchAnswer
from wordspot.services.client.archives import Client
from wordspot.services.commands.clips import check_padding
from wordspot.services.commands.search_queries import NamedQuery
from wordspot.services.limits import MAX_HITS


@dataclass(frozen=True)
class SearchArguments:
    """How each query is searched for, as the options say."""

    top: int
    min_score: float | None
    detected: bool
    encoder: str | None
    speed_variants: int
    mode: Mode
    wanted: RecordingFilter
    with_verdicts: bool
    channel: int

    def answers(self, client: Client, archive: str, queries: Sequence[NamedQuery]) -> Iterable[SearchAnswer]:
        """Returns the answers to the queries, in order, each as soon as it is known."""
        return client.search_batch(
            [each.query for each in queries],
            archive,
            top=self.top,
            min_score=self.min_score,
            all_hits=not self.detected,
            encoder=self.encoder,
            speed_variants=self.speed_variants,
            mode=self.mode,
            filter=self.wanted,
            with_verdicts=self.with_verdicts,
            channel=self.channel,
        )


def check_options(
    top: int | None, min_score: float | None, speed_variants: int, *, all_hits: bool, detected: bool
) -> None:
    """Raises InvalidInput, typer.BadParameter."""
    if top is not None and not 1 <= top <= MAX_HITS:
        raise InvalidInput(f"--top must be between 1 and {MAX_HITS:,}, got {top}")
    if min_score is not None and not math.isfinite(min_score):
        raise InvalidInput(f"--min-score must be a finite number, got {min_score}")
    if detected and all_hits:
        raise typer.BadParameter("--detected and --all-hits exclude each other")
    if speed_variants not in SPEED_VARIANTS:
        allowed = ", ".join(map(str, SPEED_VARIANTS))
        raise InvalidInput(f"--speed-variants must be one of {allowed}, got {speed_variants}")


def check_companions(
    text: str | None,
    batch: Path | None,
    language: str | None,
    speakers: int | None,
    clips: Path | None,
    padding: float | None,
) -> None:
    """Raises InvalidInput, typer.BadParameter for an option without the one that it goes with."""
    if text is None and batch is None and (language, speakers) != (None, None):
        raise typer.BadParameter("--language and --speakers go with --say")
    if padding is not None:
        if clips is None:
            raise typer.BadParameter("--padding goes with --save-clips")
        check_padding(padding)
