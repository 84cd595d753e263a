"""What `wordspot search` prints: hits and advice."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from wordspot.indexer.records import Mode
from wordspot.services.advice import ADVISED_SPEED_VARIANTS, STRONGER_ENCODER, WEAKER_ENCODERS
from wordspot.services.answers import SearchAnswer, Synthesis
from wordspot.services.client.archives import Client
from wordspot.services.commands import console
from wordspot.services.commands.search_queries import NamedQuery
from wordspot.services.escapes import escaped
from wordspot.services.interchange.schemas import SEARCH, named
from wordspot.services.limits import MAX_HITS
from wordspot.v1 import archive_pb2


@dataclass(frozen=True)
class Advice:
    """What to try where little or nothing was found, each only where it applies.

    client: of the archive.
    archive: that was searched.
    top, min_score, detected, speed_variants, mode: the options of the search.
    """

    client: Client
    archive: str
    top: int
    min_score: float | None
    detected: bool
    speed_variants: int
    mode: Mode

    @cached_property
    def _summary(self) -> archive_pb2.Archive:
        return self.client.archive(self.archive)

    def for_none(self) -> str:
        """Returns the advice for an empty ranking."""
        if self.min_score is not None:
            return f"no place reaches a score of {self.min_score:g}: lower --min-score, or leave it out"
        summary = self._summary
        index = f"`wordspot index --archive {self.archive}"
        if not summary.indexed_recordings:
            missing = "" if summary.recordings else " PATH"
            return f"archive {self.archive!r} holds no indexed recording: {index}{missing}`"
        if not summary.spans:
            return f"no speech was found in the recordings of archive {self.archive!r}"
        if self.detected:
            return "nothing is detected: leave out --detected to see the best places"
        return "no stretch of speech in the archive is as long as the query: ask with a shorter one"

    def for_uncertain(self, answer: SearchAnswer) -> str:
        """Returns the advice for a ranking in which nothing is detected."""
        tries = []
        if len(answer.hits) == self.top < MAX_HITS:
            tries.append("--all-hits shows more of the ranking")
        if self.speed_variants == 1 and self.mode is Mode.SOUND and answer.synthesis is None:
            tries.append(f"--speed-variants {ADVISED_SPEED_VARIANTS} finds more of other speakers")
        if self._summary.encoder in WEAKER_ENCODERS:
            tries.append(
                f"`wordspot index --archive {self.archive} --encoder {STRONGER_ENCODER}` finds more than "
                f"{self._summary.encoder}"
            )
        waiting = self._summary.recordings - self._summary.indexed_recordings
        if waiting > 0:
            total = console.counted(self._summary.recordings, "recording")
            tries.append(f"{waiting} of {total} {'is' if waiting == 1 else 'are'} not indexed yet")
        return "; ".join(["nothing is certain", *tries])


def print_answer(
    query: NamedQuery, answer: SearchAnswer, advice: Advice, *, as_json: bool, titled: bool
) -> None:
    """Prints the answer to a query.

    query: with its names. advice: for a ranking without detections. titled: whether the name stands above.
    """
    for warning in answer.warnings:
        console.warn(f"wordspot: {warning}; `wordspot archive repair --archive {advice.archive}`")
    if as_json:
        console.print_json(_json_row(query, answer, advice))
        return
    if titled:
        console.print_line(escaped(query.name.replace("\t", " ")))
    if answer.synthesis is not None:
        console.print_line(_synthesis_line(answer.synthesis))
    if answer.problem:
        console.print_line(escaped(answer.problem))
    elif not answer.hits:
        console.print_line(advice.for_none())
    else:
        _print_hits(answer)
        if not any(hit.detected for hit in answer.hits):
            console.print_line(advice.for_uncertain(answer))


def _json_row(query: NamedQuery, answer: SearchAnswer, advice: Advice) -> dict[str, Any]:
    row: dict[str, Any] = named(SEARCH) | {
        "archive": advice.archive,
        "query": query.name,
        "label": query.label,
        "hits": [asdict(hit) for hit in answer.hits],
    }
    if answer.synthesis is not None:
        row["synthesis"] = asdict(answer.synthesis)
    if answer.p_threshold is not None:
        row["p_threshold"] = answer.p_threshold
    if answer.warnings:
        row["warnings"] = answer.warnings
    if answer.problem:
        row["problem"] = answer.problem
    elif not answer.hits:
        row["advice"] = advice.for_none()
    return row


def _print_hits(answer: SearchAnswer) -> None:
    """Prints hits; channels and tracks where any hit names one."""
    places = {
        name: [str(getattr(hit, name) or "") for hit in answer.hits]
        for name in ("track", "channel")
        if any(getattr(hit, name) for hit in answer.hits)
    }
    rows = [
        (
            f"{hit.start:.2f} - {hit.end:.2f}",
            f"{hit.score:.2f}",
            f"{hit.p_correct:.2f}",
            "" if hit.detected else "?",
            *place,
            f"{hit.path} (file is missing)" if hit.missing else hit.path,
        )
        for hit, *place in zip(answer.hits, *places.values(), strict=True)
    ]
    # Nobody has fitted it for the encoder: a guess from the score.
    probability = "P" if answer.p_threshold is not None else "P (guess)"
    console.print_table(("seconds", "score", probability, "", *places, "recording"), rows, right=(0, 1, 2))


def _synthesis_line(synthesis: Synthesis) -> str:
    count = len(synthesis.speakers)
    voices = "1 voice" if count == 1 else f"{count} voices"
    return f"spoken by {synthesis.synthesiser} in {voices} ({synthesis.language}); not a recording"
