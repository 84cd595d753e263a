"""Clips of a game in 8 frames of 48x48 on grey, and sentences that say who does what, such as "a female
elvish archer is shooting": the animations of units in The Battle for Wesnoth.

Package: wesnoth-1.16-data. Licence: GPL-2+. A unit is called as its configuration says; what it does, the
files' names say. Fewer frames than three stand between the unit at rest, as in the game. All frames of a clip
are equally large, so that who leaps, leaps; fewer or more than 8 are repeated or left out evenly.

A family are the clips of one unit in one action, whatever the direction. A tenth of the units is for testing
alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wordspot.models.datasets.captioned import SPLIT, Shown, source
from wordspot.models.datasets.package import Package
from wordspot.models.datasets.source import split_of
from wordspot.models.pictures import letterbox

PACKAGE = Package(
    "wesnoth-1.16-data",
    "1:1.16.9-1",
    "1012b964bd412a6770685e3324ae3b61e176caff7846192d1ee63d55cd621e26",
)
DATA = Path("usr/share/games/wesnoth/1.16/data/core")
SPRITES = "images/units"
FRAMES, SIDE, GROUND = 8, 48, 128
HEX = 72  # pixels of the field that a unit stands on
FEWEST = 3  # frames that are a movement by themselves
FEMALE = "+female"
# By what the name says first among these.
ACTIONS: Mapping[str, frozenset[str]] = {
    "dying": frozenset({"die", "die2", "death", "dying", "decay"}),
    "defending": frozenset({"defend"}),
    "shooting": frozenset({"bow", "crossbow", "ranged"}),
    "throwing": frozenset({"throw", "throwknife", "javelin", "jarid", "launch"}),
    "casting a spell": frozenset({"magic", "lightning", "wind", "teleport", "heal", "healing"}),
    "breathing fire": frozenset({"fire", "flame"}),
    "flying": frozenset({"fly", "flying", "takeoff", "upstroke", "soar", "hover"}),
    "running": frozenset({"run", "moving"}),
    "leading": frozenset({"lead", "leading"}),
    "attacking": frozenset(
        {"attack", "melee", "sword", "staff", "blade", "hammer", "pierce", "axe", "spear", "slash", "kick"}
        | {"bite", "claws", "2claws", "pincer", "tail", "mace", "dagger", "impact", "fist", "hand", "horn"}
        | {"sting", "stinger", "beak", "ftouch"}
    ),
    "waiting": frozenset({"idle", "idle2", "bob", "stand", "standing"}),
}
CREATURES = {"swimmer": "merman", "mounted": "horseman", "beastrider": "beast rider"}

_MACRO = re.compile(r"#define (\w+)\n(.*?)#enddef", re.DOTALL)
_TAG = re.compile(r"\[(/?)\+?(\w+)\]")
_VALUE = re.compile(r'(name|image)\s*=\s*_?\s*"([^"]*)"')
_FRAME = re.compile(r"(.*?)-?(\d*)")
_DEAD = re.compile(r"undead/(zombie|soulless)(?:-([a-z]+))?")  # the body of what, files alone say


@dataclass(frozen=True)
class Animation:
    """An animation of a unit.

    Attributes:
        rest: The sprite of the unit at rest.
        unit: Its name.
        action: What it does.
        frames: Sprites in their order; all sprites are paths below SPRITES, without ending.
    """

    rest: str
    unit: str
    action: str
    frames: tuple[str, ...]


@source(
    "wesnoth",
    packages=(PACKAGE,),
    licence="GPL-2+, The Battle for Wesnoth",
    split=f"a tenth of the units test; of the others, {SPLIT.replace('family', 'unit and action')}",
)
def convert(root: Path) -> Iterator[Shown]:
    """Yields animations of units with a sentence each; few frames begin and end with the unit at rest."""
    sprites = root / DATA / SPRITES
    stems = [path.relative_to(sprites).with_suffix("").as_posix() for path in sorted(sprites.rglob("*.png"))]
    for clip in clips(stems, units(root / DATA)):
        few = len(clip.frames) < FEWEST
        whole = (clip.rest, *clip.frames, clip.rest) if few else clip.frames
        yield Shown(
            pixels([sprites / f"{stem}.png" for stem in whole]),
            {"en": sentence(clip.unit, clip.action)},
            f"{clip.unit} {clip.action}",
            "test" if split_of(f"wesnoth unit {clip.unit}") == "test" else None,
        )


def sentence(unit: str, action: str) -> str:
    """Returns what is to be seen: a unit, and what it is doing."""
    return f"{'an' if unit[0] in 'aeiou' else 'a'} {unit} is {action}"


def parts(text: str) -> tuple[str, str]:
    """Returns unit and action of a sentence; empty where it has none."""
    who, _, action = text.partition(" is ")
    return who.partition(" ")[2], action


def units(data: Path) -> dict[str, str]:
    """Returns the names of units in lower case by the sprite that shows them at rest, as a path below
    SPRITES."""
    names: dict[str, str] = {}
    for path in sorted((data / "units").rglob("*.cfg")):
        content = path.read_text(encoding="utf-8")
        for name, value in _MACRO.findall(content):
            content = content.replace(f"{{{name}}}", value.strip())
        within: list[str] = []
        values: dict[str, dict[str, str]] = {}
        for line in map(str.strip, content.splitlines()):
            if tag := _TAG.match(line):
                within = within[:-1] if tag[1] else [*within, tag[2]]
            elif (value := _VALUE.match(line)) and within[:1] == ["unit_type"] and len(within) <= 2:
                values.setdefault(within[-1], {}).setdefault(value[1], value[2])
        for part in ("unit_type", "female", "male"):
            stem = values.get(part, {}).get("image", "").removeprefix("units/").replace("//", "/")
            name = values.get(part, {}).get("name", values.get("unit_type", {}).get("name", ""))
            if stem.endswith(".png") and name:
                plain = name.split("^")[-1].lower()
                same = plain == values["unit_type"].get("name", "").lower()
                stem = stem.removesuffix(".png")
                names.setdefault(stem, f"female {plain}" if stem.endswith(FEMALE) and same else plain)
    return names


def clips(stems: Sequence[str], names: Mapping[str, str]) -> list[Animation]:
    """Returns the animations among sprites.

    stems: of all sprites. names: as `units` gives them."""
    names = {**_dead(stems), **names}
    frames_by_animation: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for stem in stems:
        rest = _at_rest(stem, names)
        frame = _FRAME.fullmatch(stem.removeprefix(rest)) if rest else None
        if rest and frame and frame[1]:
            frames_by_animation.setdefault((rest, frame[1]), []).append((int(frame[2] or 0), stem))
    animations = []
    for (rest, how), frames in frames_by_animation.items():
        if action := _action(how):
            animations.append(Animation(rest, names[rest], action, tuple(stem for _, stem in sorted(frames))))
    return animations


def _action(how: str) -> str | None:
    """Returns what a unit does; None for what is left out. how: what a file's name says."""
    words_of_name = set(re.split(r"[-_+/]", how))
    return next((action for action, words in ACTIONS.items() if words & words_of_name), None)


def _dead(stems: Sequence[str]) -> dict[str, str]:
    """As `units`: "zombie troll", of undead/zombie-troll."""
    names = {}
    for stem in stems:
        if (match := _DEAD.fullmatch(stem)) and not _action(match[2] or ""):
            names[stem] = " ".join(filter(None, (match[1], CREATURES.get(match[2], match[2]))))
    return names


def _at_rest(stem: str, names: Mapping[str, str]) -> str | None:
    """Returns the longest of the sprites at rest that a name begins with."""
    ends = [n for n in range(len(stem), 0, -1) if n == len(stem) or not stem[n].isalpha()]
    return next((stem[:n] for n in ends if stem[:n] in names), None)


def pixels(paths: Sequence[Path]) -> NDArray[np.uint8]:
    """Returns the clip of sprites, (FRAMES, SIDE, SIDE, 3)."""
    sprites = []
    for path in paths:
        with Image.open(path) as picture:
            sprites.append(picture.convert("RGBA"))
    side = max(HEX, *(max(sprite.size) for sprite in sprites))
    frames = []
    for sprite in sprites:
        field = Image.new("RGBA", (side, side))
        field.paste(sprite, ((side - sprite.width) // 2, (side - sprite.height) // 2))
        frames.append(letterbox(field, SIDE, SIDE, GROUND))
    return np.stack([frames[n] for n in spread(len(frames), FRAMES)])


def spread(available: int, count: int) -> list[int]:
    """Returns the numbers of `count` frames, evenly spread over those available from the first to the
    last."""
    return [round(n * (available - 1) / (count - 1)) for n in range(count)]
