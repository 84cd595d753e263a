"""Flight of the Amazon Queen: English acted speech, some thirty characters, 11,025 Hz MP3.

Package: flight-of-the-amazon-queen. Licence: freeware, free to redistribute and modify with its readme and
notices kept; content © John Passfield and Steven Stamatiadis. Split: a quarter of the scenes is held out.

`queen.1c` opens with a table of its entries: at byte 13 a big-endian count, then 21 bytes an entry, name
(12), bundle (1), offset (4), size (4). Speech entries end in .SB and are plain MP3. Their names say what
they belong to:

    260023P3  line of dialogue 26, spoken by its person (P) or by the hero Joe (J)
    JOE00351  Joe looks at something
    C18A_181  cutscene 18A; the package does not say in plain form who speaks

A dialogue's header (after 20 bytes: five big-endian int16, levels, scene, number, ...) tells the scene,
which two dialogues may share, and its name the person.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from wordspot.models.datasets.package import DatasetError, Package
from wordspot.models.datasets.speech import Take, source

PACKAGE = Package(
    "flight-of-the-amazon-queen",
    "1.0.0-9",
    "40c08fd258d6fe95c46c1eaf5e9137f84ba330657995a281bd887c94a560a0f1",
)
ARCHIVE = Path("usr/share/scummvm/flight-of-the-amazon-queen/queen.1c")

COUNT_AT = 13
TABLE_AT = 15
ENTRY = struct.Struct(">12sBII")
DIALOGUE_HEADER = struct.Struct(">5h")
DIALOGUE_HEADER_AT = 20

DIALOGUE_LINE = re.compile(r"(\d\d)[0-9A-FSX]{4}([JP])[0-9A-F]")
REMARK = re.compile(r"JOE(\d\d)\d{3}")
CUTSCENE = re.compile(r"(C\d+|CINTR|CDINT|COMIC|BLUEP)[A-Z]?_*\w{2,3}")
# The demo's introduction is the game's, recorded with the same lines.
SAME_SCENE = {"CDINT": "CINTR"}


@dataclass(frozen=True)
class Dialogue:
    """A line of the game's dialogue.

    Attributes:
        person: Who speaks.
        scene: Number of the scene.
    """

    person: str
    scene: int


@source("queen", packages=(PACKAGE,), licence="Flight of the Amazon Queen licence (freeware)", held_out=0.25)
def convert(root: Path) -> Iterator[Take]:
    """Yields every spoken clip once; sound effects, leftovers and exact copies are dropped."""
    entries = read_archive((root / ARCHIVE).read_bytes())
    dialogues = {
        number: dialogue
        for name, data in entries.items()
        if name.endswith(".DOG")
        for number, dialogue in [read_dialogue(name, data)]
    }
    digests: set[bytes] = set()
    for name, data in sorted(entries.items()):
        place = whereabouts(name.removesuffix(".SB"), dialogues) if name.endswith(".SB") else None
        digest = hashlib.sha256(data).digest()
        if place is None or digest in digests:
            continue
        digests.add(digest)
        speaker, scene = place
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
        yield Take(
            name=name.removesuffix(".SB"),
            speaker=speaker,
            language="en",
            group=scene,
            samples=samples.mean(axis=1, dtype=np.float32),
            rate=rate,
        )


def read_archive(content: bytes) -> dict[str, bytes]:
    """Returns the entries of a `queen.1c` by name. Raises DatasetError."""
    if content[:4] != b"QTBL":
        raise DatasetError(f"queen.1c begins with {content[:4]!r}, expected b'QTBL'")
    count = int.from_bytes(content[COUNT_AT:TABLE_AT], "big")
    table = content[TABLE_AT : TABLE_AT + count * ENTRY.size]
    entries = {}
    for raw, _bundle, offset, size in ENTRY.iter_unpack(table):
        name = raw.split(b"\0")[0].decode("ascii")
        if offset + size > len(content):
            raise DatasetError(f"entry {name} ends at byte {offset + size} of {len(content)}")
        entries[name] = content[offset : offset + size]
    return entries


def read_dialogue(name: str, data: bytes) -> tuple[int, Dialogue]:
    """Returns a dialogue's number, by which its lines are named, with its person and scene."""
    _levels, scene, number, _lines, _persons = DIALOGUE_HEADER.unpack_from(data, DIALOGUE_HEADER_AT)
    return number, Dialogue(name.removesuffix(".DOG").rstrip("0123456789"), scene)


def whereabouts(name: str, dialogues: dict[int, Dialogue]) -> tuple[str | None, str] | None:
    """Returns speaker and scene of the clip `name`; None for what is no speech of the game."""
    if match := DIALOGUE_LINE.fullmatch(name):
        dialogue = dialogues.get(int(match[1]))
        if dialogue is None:
            return None
        return ("JOE" if match[2] == "J" else dialogue.person), f"dialogue {dialogue.scene}"
    if match := REMARK.fullmatch(name):
        return "JOE", f"remarks {match[1]}"
    if match := CUTSCENE.fullmatch(name):
        return None, f"cutscene {SAME_SCENE.get(match[1], match[1])}"
    return None
