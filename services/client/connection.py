"""A client's connection to the services, and what all its calls share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from wordspot.services.access.credentials import Credentials
from wordspot.services.client.transport import open_transport
from wordspot.services.errors import translated
from wordspot.services.limits import MAX_PAGE_ITEMS, RETRY_TIMEOUT_S


class Connection:
    """Open until it is closed. For the arguments see `Client`."""

    def __init__(
        self,
        address: str | None = None,
        *,
        home: Path | None = None,
        timeout: float | None = None,
        retry_timeout: float = RETRY_TIMEOUT_S,
        wait_seconds: float | None = None,
        read_only: bool = False,
        credentials: Credentials | None = None,
    ) -> None:
        self._transport = open_transport(
            address,
            home,
            retry_timeout,
            timeout=timeout,
            wait_seconds=wait_seconds,
            read_only=read_only,
            credentials=credentials,
        )
        self._timeout, self._retry_timeout = timeout, retry_timeout
        self.address = self._transport.address
        self._archives, self._searches = self._transport.archives, self._transport.searches

    def close(self) -> None:
        """Ends the connection, and the services where they run in this process."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _pages(self, method: Callable[[Any], Any], request: Any) -> Iterator[Any]:
        request.page_size = MAX_PAGE_ITEMS
        while True:
            with translated(self.address):
                page = method(request)
            yield page
            request.page_token = page.next_page_token
            if not request.page_token:
                return
