"""Logs as text or as JSON, a line an entry, with the call and the trace that an entry belongs to."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime

from wordspot.services.escapes import EscapingFormatter
from wordspot.services.telemetry.context import current_request_id
from wordspot.services.telemetry.tracing import current_trace_id

TEXT, JSON = "text", "json"
FORMATS = (TEXT, JSON)


class JsonFormatter(logging.Formatter):
    """Formats an entry as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line, in ASCII, so that nothing in it moves a terminal's cursor."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": current_request_id.get(),
            "trace_id": current_trace_id(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            entry["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps({name: value for name, value in entry.items() if value})


def install(kind: str) -> None:
    """Has all that is logged from level INFO on written to standard error. kind: one of FORMATS."""
    handler = logging.StreamHandler()
    text = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(JsonFormatter() if kind == JSON else EscapingFormatter(text))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # of builds that it tries in turn
