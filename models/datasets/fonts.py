"""A font with Chinese characters, to draw pictures with: AR PL UKai, in the regular script.

Package: Debian `fonts-arphic-ukai` (Arphic Public License).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from wordspot.models.datasets.package import Package
from wordspot.models.datasets.speech import prepared, stamp

NAME = "fonts"
LICENCE = "Arphic Public License"
PACKAGE = Package(
    "fonts-arphic-ukai",
    "0.2.20080216.2-5",
    "b9db73184895b067f7911f9adbf3b137df99c2d4ec5425b4ad779a9834b7110b",
)
CACHE_VERSION = 1
FILE = "ukai.ttc"
# What the font has in another shape of the same character only.
SHAPES = str.maketrans("爲鬬髪隣呌鏁鵶敎帬歘虵舃胷恡鳯嵓撃緼", "為鬥髮鄰叫鎖鴉教裙欻蛇舄胸吝鳳巖擊縕")


def brush(home: Path, packages: Path | None = None) -> Path:
    """The font's file, fetched on first use.

    home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`. Raises DatasetError.
    """
    return prepare(home, packages) / FILE


def prepare(home: Path, packages: Path | None = None) -> Path:
    """The folder of the font's file; otherwise as `brush`."""
    made_from = stamp(NAME, LICENCE, (PACKAGE,), CACHE_VERSION)
    return prepared(home / "datasets" / NAME, made_from, (PACKAGE,), packages, _copy)


def _copy(root: Path, made: Path) -> None:
    shutil.copy(root / "usr/share/fonts/truetype/arphic" / FILE, made)
    shutil.copy(root / "usr/share/doc" / PACKAGE.name / "copyright", made)
