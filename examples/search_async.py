"""Searches for many queries at once, by asyncio.

    wordspot serve all &
    python examples/search_async.py --address 127.0.0.1:50051 deploy/demo/sample/queries/*.flac

The client alone is enough: `pip install wordspot-client`.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from wordspot import AsyncClient


async def search(address: str, queries: list[Path], recordings: Path | None) -> None:
    async with AsyncClient(address, timeout=60) as wordspot:
        if recordings is not None:
            report = await wordspot.index(
                [recordings], progress=lambda step: print(f"\r{step.stage} {step.done}/{step.total}", end="")
            )
            print(f"\r{report.archive.indexed_recordings} recordings, encoder {report.archive.encoder}")
        rankings = await asyncio.gather(*(wordspot.search(query, top=3, all_hits=True) for query in queries))
        for query, hits in zip(queries, rankings, strict=True):
            print(f"{query.stem}: {', '.join(f'{Path(hit.path).name} {hit.start:.2f}' for hit in hits)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("queries", type=Path, nargs="+", help="spoken examples")
    parser.add_argument("--index", type=Path, help="a folder to index before")
    parser.add_argument("--address", default="127.0.0.1:50051", help="host:port of `wordspot serve`")
    options = parser.parse_args()
    asyncio.run(search(options.address, options.queries, options.index))


if __name__ == "__main__":
    main()
