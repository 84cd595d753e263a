"""Inputs: drawn from a seed, of every kind that there is."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.fuzz import calls, cases, messages, mutation, pictures, sounds
from tests.fuzz.campaign import Campaign, Figures, table
from tests.fuzz.cases import Case, Outcome, Verdict, case_at
from tests.fuzz.commands import judged
from tests.fuzz.decoding import DecodeTarget
from wordspot.v1 import models_pb2

MIB = 1 << 20


class Divider:
    """A target with a fault: it fails where a byte of the input is 0."""

    name = "divider"

    def __init__(self) -> None:
        self.resident = 100 * MIB

    def draw(self, rng: Random) -> Case:
        return Case(self.name, "divide", (rng.randbytes(2),))

    def run(self, case: Case) -> Outcome:
        try:
            return Outcome(Verdict.ANSWERED, str(1 / case.payloads[0][0] / case.payloads[0][1]))
        except ZeroDivisionError as error:
            return Outcome(Verdict.FOREIGN, type(error).__name__)

    def resident_bytes(self) -> int:
        return self.resident

    def descriptors(self) -> int:
        return 5


def test_an_input_is_the_same_each_time_that_it_is_drawn(tmp_path: Path) -> None:
    drawn = [[case_at(DecodeTarget(tmp_path), seed, n) for n in range(20)] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


def test_sounds_are_of_every_container_that_can_be_written() -> None:
    starts = {seed[:4] for seed in sounds.seeds()}
    wanted = {
        b"RIFF",
        b"fLaC",
        b"OggS",
        b"FORM",
        b"caff",
        b"wvpk",
        b"TTA1",
        b"\x1aE\xdf\xa3",
        b"FLV\x01",
        b"#!AM",
    }
    assert wanted <= starts
    assert any(seed[4:8] == b"ftyp" for seed in sounds.seeds())
    assert len(sounds.seeds()) > 150


@pytest.mark.parametrize("change", mutation.MUTATIONS)
def test_a_mutation_bears_any_bytes(change: mutation.Mutation) -> None:
    for data in (b"", b"a", b"RIFF\x04\0\0\0WAVE", bytes(10_000)):
        for number in range(20):
            change(bytearray(data), Random(number))


def test_pages_of_a_mutated_ogg_file_have_their_checksums() -> None:
    file = io.BytesIO()
    soundfile.write(file, sounds.tone(16_000, 1), 16_000, format="OGG", subtype="VORBIS")
    whole = bytearray(file.getvalue())
    sealed = bytearray(whole)
    for page in (match for match in range(len(whole)) if whole[match : match + 4] == b"OggS"):
        sealed[page + 22 : page + 26] = b"\xff" * 4
    mutation.seal_ogg(sealed)
    assert sealed == whole


def test_half_of_the_pictures_can_be_read_as_they_are_wanted() -> None:
    readable = 0
    for number in range(200):
        file = pictures.draw(Random(number), 3, 5, 6)
        try:
            with Image.open(io.BytesIO(file)) as image:
                readable += np.asarray(image.convert("RGB")).shape == (5, 6, 3)
        except Exception:
            continue
    assert 80 < readable < 190


def test_chunks_have_their_lengths_and_checksums() -> None:
    file = pictures.encoded([(b"IHDR", b"abc")])
    assert file[8:] == struct.pack(">I", 3) + b"IHDRabc" + struct.pack(">I", zlib.crc32(b"IHDRabc"))


class WithoutWords:
    """A vocabulary that knows no field."""

    def get(self, message: str, name: str) -> None:
        return None

    def absence(self, message: str, name: str) -> float:
        return 0.0

    def part(self, names: Sequence[str]) -> str:
        return "clips"

    def length(self, message: str, name: str) -> int:
        return 0


def test_long_lists_of_long_lists_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages.Composer, "_repetitions", lambda composer, field: messages.MANY)
    composer = messages.Composer(Random(1), WithoutWords())
    message = composer.message(models_pb2.SampleResponse.DESCRIPTOR)
    clips = message.clips.clips
    assert len(clips) >= messages.MAX_DISTINCT
    assert message.ByteSize() < 2 * messages.MAX_LIST_BYTES


def test_every_service_of_the_contracts_is_there() -> None:
    names = {service.full_name for service in calls.services()}
    contracts = (Path(__file__).parents[2] / "proto" / "wordspot").rglob("*.proto")
    declared = {
        line.split()[1]
        for contract in contracts
        for line in contract.read_text(encoding="utf-8").splitlines()
        if line.startswith("service ")
    }
    assert {name.rpartition(".")[2] for name in names} == declared
    assert len(names) >= 6


def test_a_failure_is_counted_reported_once_and_can_be_replayed(tmp_path: Path) -> None:
    target, lines = Divider(), list[str]()
    campaign = Campaign([target], 3, tmp_path, lines.append)
    campaign.run(inputs=2_000, seconds=0)
    figures = campaign.figures["divider"]
    assert figures.inputs == 2_000
    assert figures.verdicts[Verdict.FOREIGN] > 3
    assert not campaign.passed
    assert len(lines) == 1
    files = sorted(tmp_path.glob("3-divider-*.json"))
    assert len(files) == 3
    for file in files:
        case = cases.read(file)
        assert case == case_at(target, 3, int(file.stem.rpartition("-")[2]))
        assert target.run(case).verdict is Verdict.FOREIGN
    assert "divider" in table(campaign.figures)


def test_memory_that_grows_fails_a_campaign(tmp_path: Path) -> None:
    steady, growing = Figures(), Figures()
    for number in range(1_000):
        steady.count(number, Outcome(Verdict.ANSWERED), 500 * MIB)
        growing.count(number, Outcome(Verdict.ANSWERED), (500 + number // 5) * MIB)
    assert not steady.grows
    assert growing.grows


def test_files_that_stay_open_fail_a_campaign() -> None:
    steady, leaking = Figures(), Figures()
    for number in range(1_000):
        steady.count(number, Outcome(Verdict.ANSWERED), MIB, 20)
        leaking.count(number, Outcome(Verdict.ANSWERED), MIB, 20 + number // 10)
    assert not steady.grows
    assert leaking.grows


@pytest.mark.parametrize(
    ("code", "output", "errors", "verdict"),
    [
        ("0", b'{"hits": []}\n', "", Verdict.ANSWERED),
        ("2", b"", "wordspot: cannot read x\n", Verdict.REFUSED),
        ("1", b"", "Traceback (most recent call last):\n", Verdict.FOREIGN),
        ("0", b"Error A : 00\n", "", Verdict.FOREIGN),
        ("2", b"", "Illegal Audio-MPEG-Header\n", Verdict.FOREIGN),
        ("-11", b"", "", Verdict.CRASHED),
    ],
)
def test_a_command_is_judged_by_its_code_and_both_streams(
    code: str, output: bytes, errors: str, verdict: Verdict
) -> None:
    assert judged(code, output, errors)[0] is verdict
