"""Indexes a folder and finds where something spoken occurs in it.

python examples/search.py deploy/demo/sample/recordings deploy/demo/sample/queries/message.flac
"""

from __future__ import annotations

import argparse
from pathlib import Path

from wordspot import Client


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recordings", type=Path, help="a folder")
    parser.add_argument("query", type=Path, help="a recording of what is sought")
    parser.add_argument("--clips", type=Path, help="a folder for the sound of the hits")
    parser.add_argument("--address", help="host:port of `wordspot serve`")
    options = parser.parse_args()

    with Client(options.address) as wordspot:
        report = wordspot.index([options.recordings])
        for path, problem in report.problems.items():
            print(f"left out {path}: {problem}")
        print(f"{report.archive.indexed_recordings} recordings, encoder {report.archive.encoder}")
        for number, hit in enumerate(wordspot.search(options.query, top=5, all_hits=True), 1):
            certain = "" if hit.detected else "  ?"
            print(f"{hit.start:6.2f} - {hit.end:6.2f}  P {hit.p_correct:.2f}  {hit.path}{certain}")
            if options.clips is not None:
                options.clips.mkdir(parents=True, exist_ok=True)
                wav = wordspot.clip(hit.recording, hit.start, hit.end)
                (options.clips / f"{number}.wav").write_bytes(wav)


if __name__ == "__main__":
    main()
