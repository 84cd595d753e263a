"""A font with Chinese characters, to draw pictures with: AR PL UKai, in the regular script.

Package: Debian `fonts-arphic-ukai` (Arphic Public License).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from wordspot.models.datasets.package import Package
from wordspot.models.datasets.source import Source, register

PACKAGE = Package(
    "fonts-arphic-ukai",
    "0.2.20080216.2-5",
    "b9db73184895b067f7911f9adbf3b137df99c2d4ec5425b4ad779a9834b7110b",
)
FILE = "ukai.ttc"
# What the font has in another shape of the same character only.
SHAPES = str.maketrans("爲鬬髪隣呌鏁鵶敎帬歘虵舃胷恡鳯嵓撃緼", "為鬥髮鄰叫鎖鴉教裙欻蛇舄胸吝鳳巖擊縕")


@dataclass(frozen=True)
class FontSource(Source):
    """A font, with its licence."""

    kind = "font"

    def convert_into(self, folder: Path, root: Path) -> None:
        shutil.copy(root / "usr/share/fonts/truetype/arphic" / FILE, folder)
        shutil.copy(root / "usr/share/doc" / PACKAGE.name / "copyright", folder)


FONTS = register(FontSource("fonts", (PACKAGE,), "Arphic Public License", "never trains"))


def brush(home: Path, packages: Path | None = None) -> Path:
    """Returns the font's file, fetched on first use.

    home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`. Raises DatasetError.
    """
    return FONTS.fetch(home, packages) / FILE
