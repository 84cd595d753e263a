"""wordspot gallery: pictures of what models do."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Annotated

import typer

from wordspot.services import settings
from wordspot.services.commands import console


def gallery(
    name: Annotated[str | None, typer.Argument(help="Which; without it they are listed.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where it goes, a PNG file; default NAME.png.")] = None,
) -> None:
    """Draw a picture of what models do with held-out data, which is fetched."""
    from wordspot.models import gallery as pictures
    from wordspot.models.artifact import write_whole

    if name is None:
        console.print_table(("name", "shows"), list(pictures.names().items()))
        return
    path = out or Path(f"{name}.png")
    console.check_png(path)
    file = io.BytesIO()
    pictures.draw(name, settings.home(os.environ)).savefig(file, format="png")
    write_whole(path, file.getvalue())
    console.print_line(str(path))
