"""Matrices of keywords and recordings as tables and JSON."""

from __future__ import annotations

import sys
from pathlib import Path

from wordspot.indexer.errors import InvalidInput
from wordspot.services.client.matrices import KeywordMatrix
from wordspot.services.commands import console
from wordspot.services.interchange import tables

STANDARD_OUTPUT = Path("-")


def write_matrix(matrix: KeywordMatrix, out: Path, *, as_json: bool) -> None:
    """Writes a matrix as a table, parted by tabs where the file ends in .tsv, and says what is in it.

    out: a file, or - for standard output. as_json: whether the matrix is printed, too. Raises InvalidInput.
    """
    delimiter = tables.TSV if out.suffix.lower() == ".tsv" else tables.CSV
    data = tables.table(matrix.rows(), delimiter, bom=out != STANDARD_OUTPUT)
    if out == STANDARD_OUTPUT:
        sys.stdout.write(data.decode())
        return
    try:
        out.write_bytes(data)
    except OSError as error:
        raise InvalidInput(f"cannot write {out}: {error.strerror}") from error
    if as_json:
        console.print_json(
            {
                "keywords": matrix.keywords,
                "problems": matrix.problems,
                "recordings": [{"id": identity, "path": path} for identity, path in matrix.recordings],
                "counts": matrix.counts,
            }
        )
        return
    counts = [pair for row in matrix.counts for pair in row]
    detected, uncertain = sum(count for count, _ in counts), sum(count for _, count in counts)
    console.print_line(
        f"{console.counted(len(matrix.keywords), 'keyword')} in "
        f"{console.counted(len(matrix.recordings), 'recording')}: {detected} places detected, "
        f"{uncertain} uncertain"
    )
