"""Captions: how their sources are read, and that nothing of the test was seen in training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wordspot.models.datasets import captioned, openclipart, stamps, wesnoth
from wordspot.models.datasets.captioned import CaptionSource, Shown
from wordspot.models.datasets.package import DatasetError


@pytest.fixture
def source(only: Callable[..., None]) -> dict[str, list[Shown]]:
    """What a source called "toys" holds; put in before it is asked for."""
    held: dict[str, list[Shown]] = {"toys": []}
    only(CaptionSource("toys", (), "none", "by family", lambda root: held["toys"]))
    return held


def shown(seed: int, text: str, family: str, zh: str = "") -> Shown:
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 12, 3)).astype(np.uint8)
    return Shown(pixels, {"en": text, **({"zh": zh} if zh else {})}, family)


def test_families_and_pictures_that_are_the_same_are_on_one_side(
    source: dict[str, list[Shown]], tmp_path: Path
) -> None:
    source["toys"] = [shown(n, "red ball", f"family {n // 3}") for n in range(300)]
    # Pairs of families that share a picture, be it a little noisier.
    for n in range(0, 90, 6):
        twin = np.clip(source["toys"][n].pixels.astype(int) + 1, 0, 255).astype(np.uint8)
        source["toys"][n + 3] = Shown(twin, {"en": "red ball"}, source["toys"][n + 3].family)
    splits = captioned.captions(("toys",), "en", tmp_path)
    sides = {family: split for split, some in splits.items() for family in some.families}
    assert sum(len(set(some.families)) for some in splits.values()) == len(sides) == 100
    assert len(set(sides.values())) == 3
    for n in range(0, 90, 6):
        assert sides[f"toys/family {n // 3}"] == sides[f"toys/family {n // 3 + 1}"]


def test_words_of_one_family_alone_and_long_captions_are_left_out(
    source: dict[str, list[Shown]], tmp_path: Path
) -> None:
    texts = ["red ball", "red ball", "red zeppelin", "blue ball", "blue " * 13, "blue ball red"]
    source["toys"] = [shown(n, text, f"family {n}", zh="球" if n % 2 else "") for n, text in enumerate(texts)]
    english, chinese = (
        sorted(
            text for some in captioned.captions(("toys",), language, tmp_path).values() for text in some.texts
        )
        for language in ("en", "zh")
    )
    assert english == ["blue ball", "blue ball red", "red ball", "red ball"]
    assert chinese == ["球"] * 3 or chinese == ["球"] * 2


def test_sources_that_hold_nothing_or_are_not_known_are_named(
    source: dict[str, list[Shown]], tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match="source 'toys' yielded nothing"):
        captioned.captions(("toys",), "en", tmp_path)
    with pytest.raises(DatasetError, match="no captions 'games'; there are toys"):
        captioned.captions(("games",), "en", tmp_path)


@pytest.mark.parametrize(
    ("name", "title", "wanted"),
    [
        ("recreation/games/cards/white/simple_c_q.svg", "", "queen of clubs"),
        ("recreation/games/cards/white/simple_d_10.svg", "", "ten of diamonds"),
        ("signs_and_symbols/flags/europe/france.svg", "France", "flag: france"),
        ("animals/x.svg", "BlackCat_01", "black cat"),
        ("animals/x.svg", "clipart Dog", "dog"),
        ("animals/x.svg", "1234", ""),
    ],
)
def test_clip_art_is_called_by_its_title_or_what_it_lies_among(name: str, title: str, wanted: str) -> None:
    assert openclipart.caption(name, title) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A frog.  Say hello!", "frog"),
        ("“An apple, red”", "apple"),
        ("一隻青蛙。", "青蛙"),
        ("The sun - our star", "sun"),
    ],
)
def test_of_a_stamps_caption_the_first_sentence_counts(text: str, wanted: str) -> None:
    assert stamps.caption(text) == wanted


def test_clips_are_runs_of_a_units_sprites_in_one_action() -> None:
    stems = [
        "monsters/wolf",
        *(f"monsters/wolf-attack-{n}" for n in (1, 2, 3)),
        "monsters/wolf-defend",
        "monsters/wolfrider-attack-1",
        "undead/zombie-troll",
        "undead/zombie-troll-die-1",
    ]
    found = {
        (clip.unit, clip.action): clip.frames for clip in wesnoth.clips(stems, {"monsters/wolf": "wolf"})
    }
    assert found == {
        ("wolf", "attacking"): tuple(stems[1:4]),
        ("wolf", "defending"): ("monsters/wolf-defend",),
        ("zombie troll", "dying"): ("undead/zombie-troll-die-1",),
    }
    assert wesnoth.sentence("wolf", "attacking") == "a wolf is attacking"
    assert wesnoth.parts(wesnoth.sentence("elvish archer", "shooting")) == ("elvish archer", "shooting")
    assert wesnoth.spread(3, 8) == [0, 0, 1, 1, 1, 1, 2, 2]


def test_units_are_called_as_their_configuration_says(tmp_path: Path) -> None:
    (tmp_path / "units").mkdir()
    (tmp_path / "units/Archer.cfg").write_text(
        '[unit_type]\n    name= _ "female^Elvish Archer"\n    image="units/elves/archer.png"\n'
        '    [female]\n        name= _ "female^Elvish Archer"\n'
        '        image="units/elves/archer+female.png"\n    [/female]\n[/unit_type]\n'
    )
    found = wesnoth.units(tmp_path)
    assert found["elves/archer"] == "elvish archer"
    assert set(found) == {"elves/archer", "elves/archer+female"}
