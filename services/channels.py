"""Channels to the services, and what travels over them in pieces.

`service_config.json` is the retry policy of every channel opened here. Calls that read, and calls that a
request id or their nature makes harmless to repeat, are tried up to four times on UNAVAILABLE with
exponential backoff. Uploads, embedding and segmentation send more than a channel buffers for a retry;
their callers repeat them. Nothing is retried on any other status.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from typing import Any

import grpc

from wordspot.services.access.bearer import AUTHORIZATION, BearerInterceptor
from wordspot.services.access.credentials import Credentials
from wordspot.services.access.tls import channel_credentials
from wordspot.services.limits import MAX_CHUNK_BYTES, MAX_MESSAGE_BYTES
from wordspot.services.telemetry.metadata import ContextInterceptor

MESSAGE_OPTIONS = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)


def open_channel(address: str, credentials: Credentials | None = None) -> grpc.Channel:
    """Returns a channel, which connects at the first call.

    Args:
        address: host:port or unix:PATH.
        credentials: how to connect, and who calls; None without TLS and token. Sockets have no TLS.

    Raises:
        ServiceError: a file of a certificate cannot be read.
    """
    credentials = credentials or Credentials()
    secured = None if address.startswith("unix:") else channel_credentials(credentials)
    channel = (
        grpc.insecure_channel(address, channel_options())
        if secured is None
        else grpc.secure_channel(address, secured, channel_options())
    )
    channel = grpc.intercept_channel(channel, ContextInterceptor())
    if credentials.token:
        channel = grpc.intercept_channel(channel, BearerInterceptor(credentials.token))
    return channel


def open_async_channel(address: str, credentials: Credentials | None = None) -> grpc.aio.Channel:
    """Returns the same for asyncio, to be called where its loop runs. Calls carry `call_metadata`.

    Arguments and errors are those of `open_channel`.
    """
    secured = None if address.startswith("unix:") else channel_credentials(credentials or Credentials())
    if secured is None:
        return grpc.aio.insecure_channel(address, channel_options())
    return grpc.aio.secure_channel(address, secured, channel_options())


def call_metadata(credentials: Credentials | None) -> tuple[tuple[str, str], ...]:
    """Returns what tells a server who calls."""
    token = credentials.token if credentials is not None else ""
    return ((AUTHORIZATION, f"Bearer {token}"),) if token else ()


def channel_options() -> tuple[tuple[str, Any], ...]:
    """Returns the options of every channel, with the retry policy."""
    config = resources.files(__package__).joinpath("service_config.json").read_text()
    return (
        *MESSAGE_OPTIONS,
        ("grpc.service_config", config),
        ("grpc.enable_http_proxy", 0),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
    )


def chunks(data: bytes, unit: int = 1) -> Iterator[bytes]:
    """Yields data in pieces of at most MAX_CHUNK_BYTES, each a multiple of `unit` bytes."""
    step = max(MAX_CHUNK_BYTES // unit, 1) * unit
    for start in range(0, len(data), step):
        yield data[start : start + step]
