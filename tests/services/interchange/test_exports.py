"""What is exported opens in other readers, with the right times."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import parselmouth
import pysubs2
import pytest
from lxml import etree
from parselmouth.praat import call
from praatio import textgrid as praatio_textgrid
from pympi.Elan import Eaf

from wordspot.indexer.errors import InvalidInput
from wordspot.services.interchange import schemas
from wordspot.services.interchange.formats import FORMATS, ExportOptions, export, read_tiers, zipped
from wordspot.services.interchange.records import Occurrence

DATA = Path(__file__).parents[2] / "data" / "elan"
TALK, OTHER = "/archive/tapes/Gespräch 1.wav", "/archive/b/Gespräch 1.mp3"
HITS = (
    Occurrence("password", "r1", TALK, 0.7, 1.48, 8.128, 0.9992),
    Occurrence("password", "r1", TALK, 1.2, 2.0004, 3.5, 0.4, detected=False),
    Occurrence("密碼", "r1", TALK, 3600.1234, 3600.9876, 4.5, 0.9, channel=2),
    Occurrence('say "it" & <go>', "r1", TALK, 5.0, 5.5, 4.5, 0.9),
    Occurrence("password", "r2", OTHER, 0.0, 0.25, 5.0, 0.97, tags={"speaker": "An"}),
)
OPTIONS = ExportOptions(seconds={"r1": 3700.0}, folder="/archive/out")
PASSWORDS = [(0.7, 1.48)]
HOSTILE = (
    "\x1b[31m\x00\n\t",
    "a\ud800b\udce9",
    "]]> --> &amp; {\\an8} \\N \\",
    'item [1]:\nclass = "IntervalTier"',
    "\u2028\ufffe\u200f",
    "",
    "x" * 5_000,
)


def exported(name: str, hits: tuple[Occurrence, ...] = HITS, options: ExportOptions = OPTIONS) -> list[bytes]:
    return [file.data for file in export(hits, name, options)]


@pytest.fixture(scope="session")
def elan_schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(DATA / "EAFv3.0.xsd"))


def test_there_is_a_file_a_recording_named_after_it() -> None:
    assert [file.name for file in export(HITS, "eaf")] == ["Gespräch 1.eaf", "Gespräch 1_2.eaf"]
    assert [file.name for file in export(HITS, "csv")] == ["hits.csv"]
    apart = export(HITS, "csv", ExportOptions(per_recording=True))
    assert [file.name for file in apart] == ["Gespräch 1.csv", "Gespräch 1_2.csv"]
    assert [len(file.data.splitlines()) for file in apart] == [5, 2]


@pytest.mark.parametrize("query", HOSTILE)
def test_elan_files_follow_the_schema_of_elan(elan_schema: etree.XMLSchema, query: str) -> None:
    hits = (*HITS, *(Occurrence(query, "r1", f"/a/{query}.wav", start, start) for start in (0.0, -1.0, 2.0)))
    for data in exported("eaf", hits):
        elan_schema.assertValid(etree.fromstring(data))


def test_pympi_reads_an_elan_file_with_the_same_times(tmp_path: Path) -> None:
    path = tmp_path / "talk.eaf"
    path.write_bytes(exported("eaf")[0])
    eaf = Eaf(path)
    assert eaf.get_annotation_data_for_tier("password") == [(700, 1480, "password")]
    assert eaf.get_annotation_data_for_tier("password (2)") == [(1200, 2000, "password ?")]
    assert eaf.get_annotation_data_for_tier("密碼 (channel 2)") == [(3_600_123, 3_600_988, "密碼")]
    assert eaf.get_annotation_data_for_tier('say "it" & <go>') == [(5000, 5500, 'say "it" & <go>')]
    assert list(eaf.timeslots.values()) == sorted(eaf.timeslots.values())


def test_an_elan_file_links_the_recording_and_tells_its_name() -> None:
    root = etree.fromstring(exported("eaf", options=ExportOptions(folder="/archive/out"))[0])
    media = root.find("HEADER/MEDIA_DESCRIPTOR")
    assert media is not None
    assert media.get("MEDIA_URL") == "file:///archive/tapes/Gespr%C3%A4ch%201.wav"
    assert media.get("RELATIVE_MEDIA_URL") == "../tapes/Gespr%C3%A4ch%201.wav"
    assert media.get("MIME_TYPE") == "audio/x-wav"
    properties = {each.get("NAME"): each.text for each in root.iterfind("HEADER/PROPERTY")}
    assert (properties["wordspot.recording"], properties["wordspot.name"]) == ("r1", TALK)


def test_an_uploaded_recording_is_linked_by_its_name() -> None:
    (data,) = exported("eaf", (Occurrence("a", "r", "caf\udce9.m4a", 0, 1),))
    media = etree.fromstring(data).find("HEADER/MEDIA_DESCRIPTOR")
    assert media is not None
    assert media.get("MEDIA_URL") == media.get("RELATIVE_MEDIA_URL") == "./caf%E9.m4a"


def test_praat_reads_a_textgrid_as_long_as_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "talk.TextGrid"
    path.write_bytes(exported("textgrid")[0])
    grid = parselmouth.read(str(path))
    assert call(grid, "Get end time") == 3700.0
    assert [call(grid, "Get tier name", n + 1) for n in range(call(grid, "Get number of tiers"))] == [
        "password",
        "password (2)",
        "密碼 (channel 2)",
        'say "it" & <go>',
    ]
    assert call(grid, "Get label of interval", 3, 2) == "密碼"
    assert call(grid, "Get start time of interval", 3, 2) == pytest.approx(3600.1234, abs=1e-3)
    assert call(grid, "Get end time of interval", 3, 2) == pytest.approx(3600.9876, abs=1e-3)


@pytest.mark.parametrize("query", HOSTILE)
def test_praat_reads_whatever_the_query_is_called(tmp_path: Path, query: str) -> None:
    path = tmp_path / "talk.TextGrid"
    (data,) = exported("textgrid", (Occurrence(query, "r", "a.wav", 0.5, 0.5),))
    path.write_bytes(data)
    grid = parselmouth.read(str(path))
    assert call(grid, "Get number of intervals", 1) == 2
    assert call(grid, "Get end time of interval", 1, 2) == pytest.approx(0.501)


def test_praatio_reads_a_textgrid(tmp_path: Path) -> None:
    path = tmp_path / "talk.TextGrid"
    path.write_bytes(exported("textgrid")[0])
    tier = praatio_textgrid.openTextgrid(str(path), includeEmptyIntervals=False).getTier("password")
    assert [(each.start, each.end) for each in tier.entries] == PASSWORDS


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_pysubs2_reads_subtitles_in_order_of_time(name: str) -> None:
    file = pysubs2.SSAFile.from_string(exported(name)[0].decode(), format_=name)
    assert [(line.start, line.end) for line in file] == [
        (700, 1480),
        (1200, 2000),
        (5000, 5500),
        (3_600_123, 3_600_988),
    ]
    assert [line.plaintext for line in file][:2] == ["password", "password ?"]


def test_markup_in_web_subtitles_is_text() -> None:
    assert 'say "it" &amp; &lt;go&gt;' in exported("vtt")[0].decode()


def test_times_that_subtitles_cannot_hold_are_refused() -> None:
    late = Occurrence("a", "r", "long.wav", 360_000.0, 360_001.0)
    with pytest.raises(InvalidInput, match=r"end at 99:59:59\.999, got 360001\.00 s of long\.wav"):
        export([late], "srt")


def test_audacity_gets_tabs_and_seconds() -> None:
    lines = exported("audacity")[0].decode().splitlines()
    assert lines[0] == "0.700000\t1.480000\tpassword"
    assert lines[-1] == "3600.123000\t3600.988000\t密碼"


@pytest.mark.parametrize("query", HOSTILE)
@pytest.mark.parametrize("name", ["eaf", "textgrid", "srt", "vtt", "audacity"])
def test_what_is_written_is_read_again(name: str, query: str) -> None:
    hits = (*HITS[:2], Occurrence(query, "r1", TALK, 10.0, 11.0))
    (file,) = export(hits, name)
    read = read_tiers(file.data, file.name)
    times = sorted((each.start, each.end) for tier in read.tiers for each in tier.annotations)
    assert times == [(0.7, 1.48), (1.2, 2.0), (10.0, 11.0)]


@pytest.mark.parametrize(("name", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_tables_have_a_line_a_hit(name: str, delimiter: str) -> None:
    (data,) = exported(name)
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline=""), delimiter=delimiter))
    assert [row["query"] for row in rows] == [hit.query for hit in HITS]
    assert [float(row["start"]) for row in rows] == pytest.approx([hit.start for hit in HITS], abs=1e-3)
    assert rows[2]["channel"] == "2"
    assert [row["detected"] for row in rows[:2]] == ["yes", "no"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1+1", "=cmd|'/C calc'!A0"])
@pytest.mark.parametrize("name", ["csv", "tsv"])
def test_no_spreadsheet_runs_a_name(name: str, text: str) -> None:
    (data,) = exported(name, (Occurrence(text, "r", f"{text}.wav", 0, 1, score=-1.5),))
    row = next(
        csv.DictReader(io.StringIO(data.decode(), newline=""), delimiter="," if name == "csv" else "\t")
    )
    assert (row["query"], row["path"]) == (f"'{text}", f"'{text}.wav")
    assert row["score"] == "-1.5"


def test_a_byte_order_mark_is_written_where_it_is_asked_for() -> None:
    assert exported("csv", options=ExportOptions(bom=True))[0].startswith(b"\xef\xbb\xbfquery,")
    assert exported("csv")[0].startswith(b"query,")


def test_lines_of_json_follow_their_schema() -> None:
    checker = jsonschema.Draft202012Validator(schemas.schema(schemas.HIT))
    judged = Occurrence("a\x1b\udce9", "r", "caf\udce9", 0, 1, verdict=False, author="An")
    lines = exported("jsonl", (*HITS, judged))[0].splitlines()
    objects = [json.loads(line) for line in lines]
    for each in objects:
        checker.validate(each)
    assert objects[0]["start"] == 0.7
    assert objects[-1]["path"] == "caf\udce9"
    assert objects[-1]["verdict"] is False
    assert b"\x1b" not in lines[-1]


@pytest.mark.parametrize("name", schemas.NAMES)
def test_schemas_are_schemas_and_name_themselves(name: str) -> None:
    schema = schemas.schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema"]["const"] == name
    assert "schema" in schema["required"]


def test_a_zip_holds_the_files_and_is_the_same_each_time() -> None:
    options = ExportOptions(created=datetime(2026, 1, 1, tzinfo=UTC))
    files = export(HITS, "eaf", options)
    data = zipped(files)
    assert data == zipped(export(HITS, "eaf", options))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {f.name: f.data for f in files}


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_gives_no_annotation_file_and_an_empty_table(name: str) -> None:
    files = export([], name)
    assert [len(file.data.splitlines()) for file in files] == {"csv": [1], "tsv": [1], "jsonl": [0]}.get(
        name, []
    )


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"the format must be one of eaf, textgrid, .*, got 'doc'"):
        export(HITS, "doc")


def test_scores_are_written_where_they_are_asked_for() -> None:
    (first, *_) = export(HITS, "audacity", ExportOptions(with_scores=True))
    assert [line.split("\t")[2] for line in first.data.decode().splitlines()[:2]] == [
        "password 8.13",
        "password ? 3.50",
    ]
