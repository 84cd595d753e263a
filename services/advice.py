"""What to try where little or nothing was found."""

from __future__ import annotations

from collections.abc import Sequence

from wordspot.services.answers import SearchAnswer
from wordspot.v1 import archive_pb2

ADVISED_SPEED_VARIANTS = 5
# The stronger encoder finds more than the weaker ones.
WEAKER_ENCODERS = frozenset({"naive", "filterbank", "sa", "dsa", "phonetic"})
STRONGER_ENCODER = "wordspot"


def advice(
    answer: SearchAnswer,
    archive: archive_pb2.Archive,
    *,
    min_score: float | None,
    speed_variants: int,
    mode: str,
) -> Sequence[str]:
    """Returns what to try, in words that fit any surface; nothing where a hit is detected.

    min_score, speed_variants, mode: of the search.
    """
    if any(hit.detected for hit in answer.hits):
        return ()
    waiting = archive.recordings - archive.indexed_recordings
    if not archive.indexed_recordings:
        return (f"archive {archive.name!r} holds no indexed recording: index it first",)
    if not archive.spans:
        return (f"no speech was found in the recordings of archive {archive.name!r}",)
    tries = []
    if not answer.hits:
        if min_score is not None:
            tries.append(f"no place reaches a score of {min_score:g}: lower it, or leave it out")
        else:
            tries.append(
                "no stretch of speech that was searched is as long as the query: ask with a shorter one"
            )
    if speed_variants == 1 and mode == "sound" and answer.synthesis is None:
        tries.append(f"{ADVISED_SPEED_VARIANTS} speed variants find more of other speakers")
    if answer.synthesis is not None:
        tries.append("a recording of the words finds more than a synthesiser's voice")
    else:
        tries.append("more examples of the same words find more: one by each of several speakers")
    if archive.encoder in WEAKER_ENCODERS:
        tries.append(f"the encoder {STRONGER_ENCODER!r} finds more than {archive.encoder!r}: index with it")
    if waiting > 0:
        tries.append(f"{waiting} of {archive.recordings} recordings are not indexed yet")
    return tries
