from __future__ import annotations

import json
import logging
import sys

import pytest

from wordspot.services.escapes import EscapingFormatter, escaped, escaped_json, escaped_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Übung 日本.wav", "Übung 日本.wav"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("two\nlines\r\tand \x00", r"two\nlines\r\tand \x00"),
        ("\x7f\x9b31m", r"\x7f\x9b31m"),
        ("a\u2028b\u2029c\x85d", r"a\u2028b\u2029c\x85d"),
        ("gpj.\u202ewav", r"gpj.\u202ewav"),
        ("caf\udce9 \ud800", r"caf\xe9 \ud800"),
    ],
)
def test_what_would_steer_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_a_text_keeps_its_lines() -> None:
    assert escaped_text("one\n\ttwo\x1b\r\n") == "one\n\ttwo\\x1b\\r\n"


def test_json_keeps_its_value() -> None:
    value = {"\x1b\u2028": ["\x9b\x7f\u202e", "é \\ \\u1234", "caf\udce9\n"]}
    text = escaped_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert "é" in text
    assert text.isprintable()
    text.encode()


def test_a_log_is_escaped_but_for_its_tracebacks_lines() -> None:
    try:
        raise ValueError("\x1b")
    except ValueError:
        record = logging.LogRecord("n", logging.INFO, "", 0, "name %s", ("\x1b",), sys.exc_info())
    text = EscapingFormatter("%(message)s").format(record)
    assert text.startswith("name \\x1b\nTraceback")
    assert text.endswith("ValueError: \\x1b")
