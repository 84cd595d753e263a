"""Pictures of what models do, one file each.

    draw("words", home).savefig("words.png")

Each shows held-out data, models as they ship, and the simple alternative beside them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.models.errors import BadInput, UnknownModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawer = Callable[[Path], "Figure"]
_DRAWERS: dict[str, Drawer] = {}


def picture(name: str) -> Callable[[Drawer], Drawer]:
    """Registers the decorated function, from the state folder to a figure, under a name."""

    def register(draw: Drawer) -> Drawer:
        _DRAWERS[name] = draw
        return draw

    return register


def names() -> dict[str, str]:
    """What can be drawn, and the first line of what is said about it. Raises BadInput without matplotlib."""
    try:
        importlib.import_module("matplotlib")
    except ImportError as error:
        raise BadInput("matplotlib draws pictures: pip install 'wordspot[gallery]'") from error
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)
    return {name: str(draw.__doc__).splitlines()[0] for name, draw in sorted(_DRAWERS.items())}


def draw(name: str, home: Path) -> Figure:
    """Raises UnknownModel, DatasetError, BadInput."""
    known = names()
    if name not in known:
        raise UnknownModel(f"no picture {name!r}; there are {', '.join(known)}")
    return _DRAWERS[name](home)
