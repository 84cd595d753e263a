"""Transport security: certificates of servers and clients."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc

from wordspot.services.access.credentials import Credentials
from wordspot.services.errors import ServiceError


@dataclass(frozen=True)
class ServerCertificate:
    """What a server shows, and whom it lets connect.

    Attributes:
        certificate: file of the certificate and those that sign it, PEM.
        key: file of its private key, PEM.
        client_authority: file of the certificates that sign clients', PEM: only such clients may connect;
            None for any.
    """

    certificate: Path
    key: Path
    client_authority: Path | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """Returns what gRPC takes; files that are replaced count from the next connection on.

        Raises ServiceError where a file cannot be read.
        """
        initial = self._configuration()

        newest = [initial]

        def current() -> grpc.ServerCertificateConfiguration:
            with suppress(ServiceError):  # in the middle of being replaced: what was read last goes on
                newest[0] = self._configuration()
            return newest[0]

        return grpc.dynamic_ssl_server_credentials(
            initial, current, require_client_authentication=self.client_authority is not None
        )

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        authority = None if self.client_authority is None else _read(self.client_authority)
        return grpc.ssl_server_certificate_configuration(
            [(_read(self.key), _read(self.certificate))], root_certificates=authority
        )


def channel_credentials(credentials: Credentials) -> grpc.ChannelCredentials | None:
    """Returns what gRPC takes, None for a connection without TLS. Raises ServiceError."""
    if credentials.tls_authority is None:
        return None
    return grpc.ssl_channel_credentials(
        _read(credentials.tls_authority),
        None if credentials.client_key is None else _read(credentials.client_key),
        None if credentials.client_certificate is None else _read(credentials.client_certificate),
    )


def _read(path: Path) -> bytes:
    """Raises ServiceError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ServiceError(f"cannot read {path}: {error.strerror}") from error
