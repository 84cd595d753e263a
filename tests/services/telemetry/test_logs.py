import json
import logging
import sys

from wordspot.services.telemetry.context import current_request_id
from wordspot.services.telemetry.logs import JsonFormatter


def entry(message: str, *arguments: object, error: Exception | None = None) -> dict[str, str]:
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("wordspot.it", logging.WARNING, "", 0, message, arguments, exc_info)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert line.isascii()
    parsed: dict[str, str] = json.loads(line)
    return parsed


def test_an_entry_is_one_line_whatever_is_in_it() -> None:
    assert entry("%s\nsecond \x1b[31mline 漢", "a")["message"] == "a\nsecond \x1b[31mline 漢"


def test_an_entry_names_the_request_that_it_belongs_to() -> None:
    token = current_request_id.set("r-1")
    try:
        assert entry("done")["request_id"] == "r-1"
    finally:
        current_request_id.reset(token)
    assert "request_id" not in entry("done")


def test_an_exception_is_told_whole() -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        error = sys.exc_info()[1]
    assert isinstance(error, Exception)
    told = entry("failed", error=error)
    assert told["level"] == "warning"
    assert "ValueError: wrong" in told["exception"]
