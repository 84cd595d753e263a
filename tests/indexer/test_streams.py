"""Which channels and tracks an archive has, and which a recording has."""

import pytest

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.streams import Layout, Selection, Stream, decoded


@pytest.mark.parametrize("channels", ["mix", "each", "1", "64"])
@pytest.mark.parametrize("tracks", ["default", "all", "2"])
def test_a_selection_is_a_word_or_a_number(channels: str, tracks: str) -> None:
    assert Selection.parse(channels, tracks) == Selection(channels, tracks)


def test_numbers_have_one_form() -> None:
    assert Selection.parse("02", "default") == Selection("2")


@pytest.mark.parametrize("value", ["", "left", "0", "-1", "65", "1,2", "²", "99999", " 1", "Each"])
def test_other_selections_are_refused(value: str) -> None:
    with pytest.raises(InvalidInput, match="channels must be mix, each or a number from 1 to 64, got "):
        Selection.parse(value, "default")
    with pytest.raises(InvalidInput, match="tracks must be default, all or a number from 1 to 64, got "):
        Selection.parse("mix", value)


def test_a_layout_comes_back_from_its_text() -> None:
    layout = Layout(2, 6, (Stream(1, 1, (1, 2)), Stream(1, 3, (3,)), Stream(2, 0, (1, 2))), (4, 17))
    assert decoded(layout.encoded(), 6) == layout


@pytest.mark.parametrize(("channels", "holds_first"), [(1, True), (2, False)])
def test_what_an_older_version_indexed_is_one_mix(channels: int, holds_first: bool) -> None:
    layout = decoded(None, channels)
    assert len(layout.streams) == 1
    assert layout.streams[0].holds(1) == holds_first
    assert (layout.streams[0].named_channel, layout.tracks) == (0, 0)


def test_streams_without_regions_are_left_out_but_one_stays() -> None:
    streams = Stream(0, 1, (1,)), Stream(0, 2, (2,)), Stream(0, 3, (3,))
    assert Layout(1, 3, streams).holding([2, 0, 5]) == Layout(1, 3, (streams[0], streams[2]), (2,))
    assert Layout(1, 3, streams).holding([0, 0, 5]) == Layout(1, 3, (streams[2],))
    assert Layout(1, 3, streams).holding([0, 0, 0]) == Layout(1, 3, (streams[0],))


@pytest.mark.parametrize(
    ("stream", "named", "held"),
    [
        (Stream(), 0, [1]),
        (Stream(0, 2, (2,)), 2, [2]),
        (Stream(0, 1, (1, 3)), 1, [1, 3]),
        (Stream(0, 0, (1, 2)), 0, []),
        (Stream(0, 0, (2,)), 2, [2]),  # of a mix in which nothing else is heard
    ],
)
def test_a_stream_names_its_channel_and_holds_those_that_sound_like_it(
    stream: Stream, named: int, held: list[int]
) -> None:
    assert stream.named_channel == named
    assert [channel for channel in range(1, 5) if stream.holds(channel)] == held
    assert stream.holds(0)


@pytest.mark.parametrize(
    ("layout", "old", "new", "same"),
    [
        (Layout(1, 1), Selection("mix"), Selection("each"), True),
        (Layout(1, 1), Selection("mix"), Selection("1"), True),
        (Layout(1, 1), Selection("mix"), Selection("2"), False),
        (Layout(1, 2), Selection("mix"), Selection("each"), False),
        (Layout(1, 2), Selection("each"), Selection("each", "all"), True),
        (Layout(2, 1), Selection("each"), Selection("each", "all"), False),
        (Layout(0, 1), Selection("mix"), Selection("mix", "all"), False),  # by an older version
        (Layout(0, 1), Selection("mix"), Selection("each"), True),
    ],
)
def test_what_a_change_of_selection_concerns(
    layout: Layout, old: Selection, new: Selection, same: bool
) -> None:
    assert layout.same_under(old, new) == same
