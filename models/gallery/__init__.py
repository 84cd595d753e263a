"""Figures of what models do, one file each.

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
    """Returns the names of the figures with the first line of their docstrings. Raises BadInput without
    matplotlib."""
    try:
        importlib.import_module("matplotlib")
    except ImportError as error:
        raise BadInput("matplotlib draws pictures: pip install 'wordspot[gallery]'") from error
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)
    return {name: str(draw.__doc__).splitlines()[0] for name, draw in sorted(_DRAWERS.items())}


def draw(name: str, home: Path) -> Figure:
    """Draws a figure by its name.

    Args:
        name: one of `names`.
        home: state folder, with models and data.

    Raises:
        UnknownModel: there is no such figure, or a model that it shows is missing.
        DatasetError: its data cannot be fetched.
        BadInput: matplotlib is missing.
    """
    available = names()
    if name not in available:
        raise UnknownModel(f"no picture {name!r}; there are {', '.join(available)}")
    return _DRAWERS[name](home)
