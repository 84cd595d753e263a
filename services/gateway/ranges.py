"""Ranges of bytes that a request asks for, RFC 9110."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from wordspot.services.gateway.problems import Problem

_SINGLE = re.compile(r"bytes\s*=\s*(?:(\d+)\s*-\s*(\d*)|-\s*(\d+))", re.ASCII)


@dataclass(frozen=True)
class Span:
    """The bytes [start, stop) of `size`. partial: whether the answer says so, with status 206."""

    start: int
    stop: int
    size: int
    partial: bool

    @property
    def status(self) -> int:
        """Of the answer."""
        return 206 if self.partial else 200

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer."""
        headers = {"Accept-Ranges": "bytes", "Content-Length": str(self.stop - self.start)}
        if self.partial:
            headers["Content-Range"] = f"bytes {self.start}-{self.stop - 1}/{self.size}"
        return headers


def asked_span(headers: Mapping[str, str], size: int, tag: str) -> Span:
    """Returns what a request asks for: all, where it asks for several ranges, or for one of another version.

    Args:
        headers: of the request.
        size: of the whole, in bytes.
        tag: the whole's ETag.

    Raises:
        Problem: 416, where nothing lies in the range.
    """
    whole = Span(0, size, size, False)
    match = _SINGLE.fullmatch(headers.get("range", "").strip())
    if match is None or headers.get("if-range", tag) != tag:
        return whole
    first, last, suffix = match.groups()
    if suffix is not None:
        start, stop = max(size - _bounded(suffix), 0), size
    else:
        start, stop = _bounded(first), min(_bounded(last) + 1, size) if last else size
        if last and _bounded(last) < _bounded(first):
            return whole  # not a range at all
    if start >= stop:
        raise Problem(
            416,
            f"the range must begin before byte {size:,}, got {headers['range']!r}",
            field="Range",
            limit=size,
            headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"},
        )
    return Span(start, stop, size, True)


def _bounded(digits: str) -> int:
    """Returns a number that may have any number of digits."""
    return int(digits[:19])
