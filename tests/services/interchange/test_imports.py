"""Tiers of other programs, whole and hostile ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from wordspot.indexer.errors import InvalidInput
from wordspot.services.interchange.formats import read_tiers
from wordspot.services.interchange.records import Annotation, Tier

EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+01:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/tapes/one.wav" MIME_TYPE="audio/x-wav" RELATIVE_MEDIA_URL="./one.wav"
 TIME_ORIGIN="1500"/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1000"/><TIME_SLOT TIME_SLOT_ID="ts2"/>
<TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="2000"/></TIME_ORDER>
<TIER TIER_ID="words" LINGUISTIC_TYPE_REF="t">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="one" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>tea</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="two" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3">
<ANNOTATION_VALUE/></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="sounds" LINGUISTIC_TYPE_REF="t" PARENT_REF="words">
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="three" ANNOTATION_REF="one">
<ANNOTATION_VALUE>t</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="four" ANNOTATION_REF="one" PREVIOUS_ANNOTATION="three">
<ANNOTATION_VALUE>i:</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>
</ANNOTATION_DOCUMENT>"""
GRID = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 3
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "say ""hi"""
        xmin = 0
        xmax = 3
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 1e-1
            text = ""
        intervals [2]:
            xmin = 1e-1
            xmax = 2.25
            text = "a ""b""
 item [9]: 7 "
        intervals [3]:
            xmin = 2.25
            xmax = 3
            text = "c" ! a comment "
    item [2]:
        class = "TextTier"
        name = "points"
        xmin = 0
        xmax = 3
        points: size = 1
        points [1]:
            number = 1.5
            mark = "here"
'''
GRID_TIERS = [
    Tier('say "hi"', [Annotation(0.1, 2.25, 'a "b"\n item [9]: 7', 2), Annotation(2.25, 3.0, "c", 3)]),
    Tier("points", [Annotation(1.5, 1.5, "here", 1)]),
]
SHORT = """File type = "ooTextFile"
"TextGrid"

0
3
<exists>
1
"IntervalTier"
"words"
0
3
1
0.5
1
"tea"
"""
SRT = (
    "1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>Tea</i> for\r\n{\\an8}two\r\n\r\n"
    "2\r\n00:01:00,04 --> 00:01:01,000\r\n7\r\n"
)
VTT = """WEBVTT - title

STYLE
::cue { color: red }

intro
00:01.000 --> 00:02.500 align:start
<v An>Tea &amp; two</v>

NOTE 00 a note

2
100:00:00.000 --> 100:00:01.000
late
"""


def test_elan_tiers_have_the_times_that_elan_shows() -> None:
    read = read_tiers(EAF.encode(), "one.eaf")
    assert read.tiers == [
        Tier("words", [Annotation(1.0, 1.5, "tea", 1), Annotation(1.5, 2.0, "", 2)]),
        Tier("sounds", [Annotation(1.0, 1.25, "t", 1), Annotation(1.25, 1.5, "i:", 2)]),
    ]
    (media,) = read.media
    assert (media.url, media.relative, media.origin) == ("file:///C:/tapes/one.wav", "./one.wav", 1.5)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_textgrids_are_read_in_every_encoding_of_praat(encoding: str, end: str) -> None:
    assert read_tiers(GRID.replace("\n", end).encode(encoding), "one.TextGrid").tiers == GRID_TIERS


def test_a_textgrid_in_big_endian_utf_16_is_read() -> None:
    assert read_tiers(b"\xfe\xff" + GRID.encode("utf-16-be"), "one.textgrid").tiers == GRID_TIERS


def test_a_short_textgrid_is_read() -> None:
    (tier,) = read_tiers(SHORT.encode(), "one.TextGrid").tiers
    assert tier == Tier("words", [Annotation(0.5, 1.0, "tea", 1)])


def test_two_tiers_of_one_name_get_names() -> None:
    tier = SHORT[SHORT.index('"IntervalTier"') :]
    twice = SHORT.replace("<exists>\n1", "<exists>\n2") + tier
    assert [tier.name for tier in read_tiers(twice.encode(), "a.TextGrid").tiers] == ["words", "words (2)"]


def test_subtitles_are_one_tier_without_tags() -> None:
    (tier,) = read_tiers(SRT.encode(), "one.srt").tiers
    assert tier.annotations == [Annotation(1.0, 2.5, "Tea for two", 1), Annotation(60.04, 61.0, "7", 2)]


def test_web_subtitles_are_read_without_names_and_notes() -> None:
    (tier,) = read_tiers(VTT.encode(), "one.vtt").tiers
    assert tier.annotations == [
        Annotation(1.0, 2.5, "Tea & two", 1),
        Annotation(360_000.0, 360_001.0, "late", 2),
    ]


def test_labels_of_audacity_are_read_with_points_commas_and_frequencies() -> None:
    text = "0,500000\t1,25\ttea\n\\\t100.0\t2000.0\n2\t2\n\n3.0\t4\ta\tb\n"
    (tier,) = read_tiers(text.encode(), "labels.txt").tiers
    assert tier.annotations == [
        Annotation(0.5, 1.25, "tea", 1),
        Annotation(2.0, 2.0, "", 2),
        Annotation(3.0, 4.0, "a\tb", 3),
    ]


def test_another_encoding_is_used_where_it_is_named() -> None:
    data = "0\t1\tcafé\n".encode("cp1252")
    with pytest.raises(InvalidInput, match=r"UTF-8, got the byte 0xe9 at 7; name another with --encoding"):
        read_tiers(data, "labels.txt")
    assert read_tiers(data, "labels.txt", encoding="cp1252").tiers[0].annotations[0].text == "café"
    with pytest.raises(InvalidInput, match="such as utf-8 or cp1252, got 'klingon'"):
        read_tiers(data, "labels.txt", encoding="klingon")


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">%s]><ANNOTATION_DOCUMENT>&z;</ANNOTATION_DOCUMENT>'


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.eaf", BOMB % '<!ENTITY z "&a;&a;">', "has a document type"),
        ("a.eaf", '<!DOCTYPE x SYSTEM "file:///etc/passwd"><ANNOTATION_DOCUMENT/>', "has a document type"),
        ("a.eaf", "<ANNOTATION_DOCUMENT>", "is not well-formed XML"),
        ("a.eaf", "\0", "is not well-formed XML"),
        ("a.eaf", "<html/>", "root of a.eaf must be ANNOTATION_DOCUMENT, as of EAF, got html"),
        ("a.eaf", EAF.replace("ts3", "ts9", 1), "lacks ts3"),
        ("a.eaf", EAF.replace('"2000"', '"2e3"'), "cannot be read as EAF: invalid literal"),
        ("a.eaf", EAF.replace('"2000"', f'"{"9" * 4000}"'), "cannot be read as EAF"),
        ("a.eaf", EAF.replace('ANNOTATION_REF="one"', 'ANNOTATION_REF="four"'), "refers to more than 100"),
        ("a.eaf", EAF.replace('TIME_VALUE="2000"', ""), "annotation two has no time to end"),
        ("a.TextGrid", GRID.encode()[:400].decode(), "ends in annotation 2 of tier 'say"),
        ("a.TextGrid", GRID.replace('"here"', '"here'), "a text begins with a quote and never ends"),
        ("a.TextGrid", GRID.replace("2.25", "x"), "annotation 2 of tier .* expected a time, got 'a"),
        ("a.TextGrid", GRID.replace("size = 3", "size = 1e99"), "the number of annotations cannot be 1e.99"),
        (
            "a.TextGrid",
            GRID.replace("IntervalTier", "Sound"),
            "must be IntervalTier or TextTier, got 'Sound'",
        ),
        ("a.TextGrid", "words", "must be a TextGrid, which begins with"),
        ("a.TextGrid", "ooBinaryFile\x08TextGrid", "saved as text, got a binary one"),
        ("a.TextGrid", GRID + "\0", "got a NUL character"),
        ("a.srt", "nothing", "must be SRT, got no line with two times"),
        ("a.vtt", "WEBVTT\n\nnothing", "must be VTT, got no line with two times"),
        ("a.txt", "0\tx\n", "line 1 must be start, end and text, parted by tabs, got"),
        ("a.txt", "0", "line 1 must be start, end and text"),
        ("a.txt", "", "is empty, 0 bytes"),
        ("a.doc", "x", "must end in .eaf, .TextGrid, .srt, .vtt, .txt, got a.doc"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(name: str, text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told) as error:
        read_tiers(text.encode(), name)
    assert "\n" not in str(error.value)
    assert name in str(error.value)


def test_tables_are_not_read() -> None:
    with pytest.raises(InvalidInput, match=r"tiers are read from eaf, textgrid, .*, not from csv"):
        read_tiers(b"x", "a.csv", "csv")


def test_a_file_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wordspot.services.interchange.formats.MAX_TIER_FILE_BYTES", 10)
    with pytest.raises(InvalidInput, match=r"at most 10 bytes, got a\.srt of 11"):
        read_tiers(b"x" * 11, "a.srt")


SIZE = 300_000
SLOW: dict[str, Callable[[], tuple[str, str]]] = {
    "a text of many lines": lambda: ("a.TextGrid", SHORT.replace("tea", "x\n" * SIZE)),
    "digits": lambda: ("a.TextGrid", SHORT.replace("0.5", "1" * SIZE + "x")),
    "quotes": lambda: ("a.TextGrid", SHORT + '"' * (SIZE + 1)),
    "blank lines": lambda: ("a.srt", SRT.replace("Tea", "Tea" + "\n" * SIZE + "x")),
    "open tags": lambda: ("a.srt", SRT.replace("Tea", "<a" * SIZE)),
    "open braces": lambda: ("a.vtt", VTT.replace("Tea", "{\\" * SIZE)),
    "children of one annotation": lambda: (
        "a.eaf",
        EAF.replace(
            "</TIER>\n</ANNOTATION_DOCUMENT>",
            "".join(
                f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="r{n}" ANNOTATION_REF="one"/></ANNOTATION>'
                for n in range(SIZE // 10)
            )
            + "</TIER>\n</ANNOTATION_DOCUMENT>",
        ),
    ),
    "elements within elements": lambda: (
        "a.eaf",
        EAF.replace("<HEADER", "<x>" * SIZE + "</x>" * SIZE + "<HEADER", 1),
    ),
}


@pytest.mark.parametrize("case", SLOW)
def test_no_file_takes_longer_than_its_size_allows(case: str) -> None:
    name, text = SLOW[case]()
    began = time.process_time()
    with suppress(InvalidInput):
        read_tiers(text.encode(), name)
    assert time.process_time() - began < 10
