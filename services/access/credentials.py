"""Credentials: how a client connects, and who it says it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wordspot.services.errors import ServiceError


@dataclass(frozen=True)
class Credentials:
    """How a client, also a service that calls another, connects and says who it is.

    Attributes:
        token: sent with each call; "" for none.
        tls_authority: PEM file of the certificates that sign the server's; None connects without TLS.
        client_certificate: PEM file of the client's own, for servers that ask for one; None for none.
        client_key: PEM file of its private key.

    Raises:
        ServiceError: a part that another needs is missing, or the token cannot be sent.
    """

    token: str = ""
    tls_authority: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None

    def __post_init__(self) -> None:
        if (self.client_certificate is None) != (self.client_key is None):
            raise ServiceError("client_certificate and client_key must be given together")
        if self.client_certificate is not None and self.tls_authority is None:
            raise ServiceError("client_certificate needs tls_authority")
        if not (self.token.isascii() and self.token.isprintable()):
            raise ServiceError("token must have printable ASCII characters only")

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Credentials:
        """Returns those of WORDSPOT_TOKEN, _TLS_AUTHORITY, _CLIENT_CERTIFICATE and _CLIENT_KEY.

        Raises ServiceError.
        """
        files = {
            name: Path(text)
            for name in ("tls_authority", "client_certificate", "client_key")
            if (text := environment.get(f"WORDSPOT_{name.upper()}"))
        }
        return cls(environment.get("WORDSPOT_TOKEN", ""), **files)
