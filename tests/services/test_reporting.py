from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from wordspot.indexer.errors import FailedPrecondition
from wordspot.models.errors import MissingWeights
from wordspot.services.reporting import reported


def raising(error: BaseException) -> Callable[[], None]:
    def program() -> None:
        raise error

    return program


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FailedPrecondition("not\n  yet"), "not yet"),
        (FailedPrecondition("\x1b[2Jcleared"), r"\x1b[2Jcleared"),
        (MissingWeights("no weights"), "no weights"),
        (PermissionError(errno.EACCES, "Permission denied", "a\x1b.wav"), "'a\\x1b.wav': Permission denied"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (
            ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"),
            "torch is not installed, which this needs: pip install 'wordspot[models]'",
        ),
    ],
)
def test_what_a_user_can_mend_is_one_line(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        reported(raising(error))
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"wordspot: {line}\n"


def test_an_interruption_has_the_status_that_shells_give_it() -> None:
    with pytest.raises(SystemExit) as ended:
        reported(raising(KeyboardInterrupt()))
    assert ended.value.code == 130


@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        ValueError("a bug"),
        ModuleNotFoundError("No module named 'wordspot.x'", name="wordspot.x"),
    ],
)
def test_other_ends_are_left_to_the_process(error: Exception) -> None:
    with pytest.raises(type(error)):
        reported(raising(error))


def test_a_program_that_ends_well_returns(tmp_path: Path) -> None:
    reported((tmp_path / "made").touch)
    assert (tmp_path / "made").exists()
