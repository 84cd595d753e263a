"""wordspot resume: goes on with indexing that was interrupted."""

from __future__ import annotations

from typing import Annotated

import typer

from wordspot.services.client.archives import Client
from wordspot.services.commands import console
from wordspot.v1 import archive_pb2

Operation = Annotated[
    str | None,
    typer.Argument(
        metavar="[OPERATION]",
        help="Also one that failed or was cancelled, by id. Without it: of each archive the last operation, "
        "if the end of its process has interrupted it.",
    ),
]


def resume(
    operation: Operation = None,
    wait: console.Wait = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Go on with indexing that was interrupted; what is indexed stays."""
    with Client(address, wait_seconds=wait) as client, console.progress_bar() as move:
        wanted = [operation] if operation is not None else _interrupted(client)
        for identity in wanted:
            done = client.follow(
                client.resume(identity), lambda step: move(step.stage, step.done, step.total)
            )
            if as_json:
                console.print_json(console.as_dict(done))
            else:
                console.print_line(_summary(done))
    if not wanted and not as_json:
        console.print_line("nothing was interrupted")


def _summary(done: archive_pb2.Operation) -> str:
    return (
        f"archive {done.archive}: {console.counted(done.recordings_done, 'recording')}, "
        f"{console.hours(done.audio_seconds_done)} of audio indexed, {done.recordings_failed} failed"
    )


def _interrupted(client: Client) -> list[str]:
    found = [client.interrupted(archive.name) for archive in client.archives()]
    return [operation.id for operation in found if operation is not None]
