"""The child process of the target `decode`: decodes what it is told to and says how that went.

Reads a request a line from standard input and answers each with a line, both JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback
from pathlib import Path
from typing import Any

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.sound import audio

MAX_SECONDS = 600.0
MAX_ADDRESS_BYTES = 4 << 30


def decode(call: str, path: Path, start: float, stop: float | None) -> str:
    """Returns what came out, in words."""
    if call == "probe":
        return str(audio.probe(path))
    if call == "decode_bytes":
        return f"{len(audio.decode_bytes(path.read_bytes(), max_seconds=MAX_SECONDS))} samples"
    samples = 0
    for block in audio.read_blocks(path, max_seconds=MAX_SECONDS, start=start, stop=stop):
        assert block.dtype == "float32"
        assert block.ndim == 1
        samples += len(block)
    return f"{samples} samples"


def answer(request: dict[str, Any]) -> dict[str, str]:
    try:
        text = decode(request["call"], Path(request["path"]), request["start"], request["stop"])
        return {"verdict": "answered", "detail": text, "evidence": ""}
    except InvalidInput as refusal:
        return {"verdict": "refused", "detail": f"InvalidInput: {refusal}", "evidence": ""}
    except (Exception, MemoryError) as error:
        return {
            "verdict": "foreign",
            "detail": f"{type(error).__name__}: {error}"[:300],
            "evidence": traceback.format_exc(),
        }


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_BYTES, MAX_ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # libraries in C write there, which services/process.py keeps apart
    print("ready", file=replies, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=replies, flush=True)


if __name__ == "__main__":
    main()
