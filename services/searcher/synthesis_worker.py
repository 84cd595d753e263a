"""The child process that speaks one text: a request on standard input, an answer on standard output.

It may not write files, and may not hold more memory or use more processor time than it was given.

Both are JSON. Request: text, language, voices (of each variant, pitch, words a minute), longest (seconds).
Answer: version and one utterance a voice (rate, pcm, start and end of what is said in seconds; pcm is base64
of little-endian float32), or `refused` with the reason.
"""

from __future__ import annotations

import base64
import json
import math
import resource
import sys
from collections.abc import Sequence
from typing import Any

from wordspot.models.datasets.espeak import Espeak, Voice


def answer(text: str, language: str, voices: Sequence[Sequence[Any]], longest: float) -> dict[str, Any]:
    espeak = Espeak()
    utterances = []
    for voice in voices:
        spoken = espeak.speak(text, language, Voice(*voice))
        if not spoken.phones:
            return {"refused": f"espeak-ng says nothing for {text!r} in the language {language!r}"}
        (_, start, _), (_, _, end) = spoken.phones[0], spoken.phones[-1]
        if end - start > longest:
            return {
                "refused": f"{text!r} takes {end - start:.1f} s to say; at most {longest:g} s are allowed"
            }
        pcm = base64.b64encode(spoken.samples.astype("<f4").tobytes()).decode()
        utterances.append({"rate": spoken.rate, "pcm": pcm, "start": start, "end": end})
    return {"version": espeak.version, "utterances": utterances}


def main() -> None:
    seconds, memory_bytes = sys.argv[1:]
    limits = {
        resource.RLIMIT_AS: int(memory_bytes),
        resource.RLIMIT_CPU: math.ceil(float(seconds)),
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
    }
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))
    json.dump(answer(**json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    main()
