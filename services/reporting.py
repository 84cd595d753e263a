"""How a program of the command line ends: what a user can mend is told in one line, without a traceback."""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from wordspot.indexer.errors import ArchiveError
from wordspot.models.errors import ModelError
from wordspot.services import process
from wordspot.services.escapes import EscapingFormatter, escaped
from wordspot.services.extras import missing_package

MISTAKE, INTERRUPTED = 2, 130  # exit statuses
_OF_OUTPUT = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT)  # reported when the process ends


def run(program: Callable[[], object]) -> NoReturn:
    """Runs a program and ends the process. What nothing else logs goes to standard error, escaped."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(EscapingFormatter())
    process.run(partial(reported, program))


def reported(program: Callable[[], object]) -> None:
    """Runs a program. Raises SystemExit after an interruption, after errors of an archive, a model or the
    operating system, and where a package of an extra is not installed."""
    try:
        program()
    except (ArchiveError, ModelError) as error:
        _tell(str(error))
        sys.exit(MISTAKE)
    except ModuleNotFoundError as error:
        if (advice := missing_package(error)) is None:
            raise
        _tell(advice)
        sys.exit(MISTAKE)
    except OSError as error:
        if error.errno in _OF_OUTPUT or error.strerror is None:
            raise
        names = [repr(name) for name in (error.filename, error.filename2) if name is not None]
        _tell(": ".join([*names, error.strerror]))
        sys.exit(MISTAKE)
    except KeyboardInterrupt as error:
        if str(error):
            _tell(str(error))
        sys.exit(INTERRUPTED)


def _tell(text: str) -> None:
    sys.stderr.write(f"wordspot: {escaped(' '.join(text.split()))}\n")
