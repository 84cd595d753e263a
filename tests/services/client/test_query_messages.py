"""Tests of services.client.query_messages."""

from __future__ import annotations

from typing import Any

import pytest

from wordspot.indexer.errors import InvalidInput
from wordspot.services.client.query_messages import query_requests


@pytest.mark.parametrize(("query", "kind"), [(None, "NoneType"), (3, "int"), ([b"RIFF", 3.5], "float")])
def test_what_is_no_query_is_refused_by_its_type(query: Any, kind: str) -> None:
    with pytest.raises(InvalidInput, match=f"a query must be a path, bytes, .* got {kind}"):
        list(query_requests(query))
