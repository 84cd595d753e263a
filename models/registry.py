"""Model classes by name, and the artifacts that can be loaded."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from wordspot.models.artifact import ArtifactCard, read_card, restore
from wordspot.models.errors import DamagedArtifact, UnknownModel

if TYPE_CHECKING:
    from wordspot.models.model import Model

ModelT = TypeVar("ModelT", bound="type[Model[Any]]")

_CLASSES: dict[str, type[Model[Any]]] = {}
PRETRAINED = Path(__file__).parent / "pretrained"
ZOO_MEMBER = "digits-vae"  # one of those that wordspot-models brings
PACKAGES = ("wordspot.models.encoders", "wordspot.models.generators", "wordspot.models.conditional")


def register(name: str) -> Callable[[ModelT], ModelT]:
    """Returns a class decorator that makes a model known to artifacts and the command line under a name."""

    def decorate(model: ModelT) -> ModelT:
        if _CLASSES.get(name, model).__qualname__ != model.__qualname__:
            raise ValueError(f"two models are called {name!r}: {_CLASSES[name]} and {model}")
        _CLASSES[name] = model
        model.registered_name = name
        return model

    return decorate


def model_class(name: str) -> type[Model[Any]]:
    """Returns the model class that a name was registered for. Raises UnknownModel."""
    if name not in _CLASSES:
        load_classes()
    try:
        return _CLASSES[name]
    except KeyError:
        raise UnknownModel(f"no model class {name!r}; there are {', '.join(sorted(_CLASSES))}") from None


def load_classes() -> None:
    """Imports every module that may register a class or a recipe."""
    for package in map(importlib.import_module, PACKAGES):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)


def folders(home: Path | None = None) -> dict[str, Path]:
    """Returns artifact folders by model name; a user's own (below home/models) come before those that
    ship."""
    by_name: dict[str, Path] = {}
    for root in (PRETRAINED, *([home / "models"] if home else [])):
        if root.is_dir():
            by_name.update({card.parent.name: card.parent for card in sorted(root.glob("*/card.json"))})
    return by_name


def find(name: str, home: Path | None = None) -> Path:
    """Returns the folder of an artifact: a name, or a path to a folder. Raises UnknownModel."""
    installed = folders(home)
    if name in installed:
        return installed[name]
    if (Path(name) / "card.json").is_file():
        return Path(name)
    raise _unknown(name, installed)


def load(name: str, home: Path | None = None) -> tuple[Model[Any], ArtifactCard]:
    """Returns a model in evaluation mode on the CPU, and its card. name: as `find` takes it.

    Raises UnknownModel, DamagedArtifact.
    """
    folder = find(name, home)
    card = read_card(folder)
    return restore(model_class(card.model), folder, card), card


def card(name: str, home: Path | None = None) -> ArtifactCard:
    """Returns the card of an artifact that ships or lies below home/models; unlike `find`, takes no path.

    Raises UnknownModel, DamagedArtifact.
    """
    installed = folders(home)
    if name not in installed:
        raise _unknown(name, installed)
    return read_card(installed[name])


def available(home: Path | None = None) -> dict[str, ArtifactCard]:
    """Returns cards by model name; an unreadable one is left out here and reported when it is loaded."""
    cards = {}
    for name, folder in sorted(folders(home).items()):
        try:
            cards[name] = read_card(folder)
        except DamagedArtifact:
            continue
    return cards


def able(capability: str, home: Path | None = None) -> dict[str, Path]:
    """Returns folders of the artifacts that have a capability, by name.

    One whose card cannot be read is among them, so that loading it reports the damage.
    """
    cards = available(home)
    return {
        name: folder
        for name, folder in folders(home).items()
        if name not in cards or capability in cards[name].capabilities
    }


def _unknown(name: str, installed: Iterable[str]) -> UnknownModel:
    """Returns the error for a name that no artifact has."""
    message = f"no model {name!r}; there are {', '.join(sorted(installed)) or 'none'}"
    if not (PRETRAINED / ZOO_MEMBER).is_dir():
        message += "; pip install 'wordspot[models]' brings the others that are published"
    return UnknownModel(message)
