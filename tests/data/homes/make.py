"""Makes a small home of archives with the catalogue and segments of this version, for those that come after.

    python -m tests.data.homes.make tests/data/homes/SCHEMA

Archive "meant" is indexed by an encoder whose vectors also say what is meant, "words" by one whose vectors
say how it sounds; each holds the same two recordings of synthetic noise.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

from tests.indexer.conftest import ENCODER, SEMANTIC_ENCODER, Embedders, index, library_at, write_noise

RECORDINGS = ("first", "second")


def main(home: Path) -> None:
    library = library_at(home, [], Embedders())
    with tempfile.TemporaryDirectory() as folder:
        for archive, encoder in (("words", ENCODER), ("meant", SEMANTIC_ENCODER)):
            library.create_archive(archive)
            for seed, name in enumerate(RECORDINGS):
                data = write_noise(Path(folder) / f"{name}.wav", seed=seed).read_bytes()
                digest = hashlib.sha256(data).hexdigest()
                with library.begin_upload(archive, f"{name}.wav", digest, len(data)) as upload:
                    upload.write(data)
                    upload.finish()
            assert not index(library, archive, encoder.name).problem
    library.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
