"""Servers with certificates of an authority that the test makes."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from wordspot import Credentials
from wordspot.services.access.principals import Scope
from wordspot.services.access.tokens import TokenFile
from wordspot.services.errors import PeerUnavailable, ServiceError
from wordspot.services.settings import ServerSettings, SettingsError


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certified(authority: trustme.CA, tmp_path: Path) -> dict[str, Path]:
    """PEM files: of the authority, of a server and of a client."""
    paths = {
        name: tmp_path / f"{name}.pem"
        for name in ("authority", "server", "server_key", "client", "client_key")
    }
    authority.cert_pem.write_to_path(paths["authority"])
    for name, identity in (("server", "127.0.0.1"), ("client", "somebody@example.org")):
        issued = authority.issue_cert(identity)
        issued.private_key_pem.write_to_path(paths[f"{name}_key"])
        for pem in issued.cert_chain_pems:
            pem.write_to_path(paths[name], append=True)
    return paths


def server_files(certified: dict[str, Path], **more: Any) -> dict[str, Any]:
    return {"tls_certificate": certified["server"], "tls_key": certified["server_key"], **more}


def test_a_client_that_knows_the_authority_is_served(
    guarded: Callable[..., SimpleNamespace], tokens: TokenFile, certified: dict[str, Path]
) -> None:
    server = guarded(**server_files(certified))
    token = tokens.create("it", Scope.READ)[1]
    assert list(server.client(token, tls_authority=certified["authority"]).archives()) == []


@pytest.mark.parametrize("trusted", [None, "other"])
def test_a_client_without_tls_or_of_another_authority_is_not(
    guarded: Callable[..., SimpleNamespace], certified: dict[str, Path], tmp_path: Path, trusted: str | None
) -> None:
    server = guarded(**server_files(certified))
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    with pytest.raises(PeerUnavailable, match="no service answers"):
        list(server.client("ws_a_b", tls_authority=other if trusted else None).archives())


def test_mutual_tls_admits_only_clients_with_a_certificate(
    guarded: Callable[..., SimpleNamespace], tokens: TokenFile, certified: dict[str, Path]
) -> None:
    server = guarded(**server_files(certified, tls_client_authority=certified["authority"]))
    token = tokens.create("it", Scope.READ)[1]
    known = {"client_certificate": certified["client"], "client_key": certified["client_key"]}
    assert list(server.client(token, tls_authority=certified["authority"], **known).archives()) == []
    with pytest.raises(PeerUnavailable):
        list(server.client(token, tls_authority=certified["authority"]).archives())


def test_a_certificate_that_is_replaced_counts_from_the_next_connection_on(
    guarded: Callable[..., SimpleNamespace], tokens: TokenFile, certified: dict[str, Path], tmp_path: Path
) -> None:
    server = guarded(**server_files(certified))
    token = tokens.create("it", Scope.READ)[1]
    renewed = trustme.CA()
    issued = renewed.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(certified["server_key"])
    issued.cert_chain_pems[0].write_to_path(certified["server"])
    renewed.cert_pem.write_to_path(tmp_path / "renewed.pem")
    assert list(server.client(token, tls_authority=tmp_path / "renewed.pem").archives()) == []


def test_a_file_that_is_missing_is_named(
    guarded: Callable[..., SimpleNamespace], certified: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ServiceError, match=r"cannot read .*missing\.pem: No such file"):
        guarded(tls_certificate=tmp_path / "missing.pem", tls_key=certified["server_key"])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.org"])
def test_a_server_that_others_reach_needs_tls_and_tokens_or_says_insecure(
    guarded: Callable[..., SimpleNamespace], host: str
) -> None:
    with pytest.raises(SettingsError, match=r"without TLS .* --insecure"):
        guarded(host=host)
    with pytest.raises(SettingsError, match=r"without TLS .* and tokens"):
        guarded(host=host, tokens=None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_this_machine_alone_needs_neither(host: str) -> None:
    assert ServerSettings(host=host).is_local


def test_settings_that_belong_together_are_given_together(certified: dict[str, Path]) -> None:
    with pytest.raises(SettingsError, match="tls_certificate and tls_key must be given together"):
        ServerSettings(tls_key=certified["server_key"])
    with pytest.raises(SettingsError, match="tls_client_authority needs"):
        ServerSettings(tls_client_authority=certified["authority"])
    with pytest.raises(SettingsError, match="oidc_issuer, oidc_audience and oidc_keys"):
        ServerSettings(oidc_issuer="https://example.org")
    with pytest.raises(ServiceError, match="client_certificate needs tls_authority"):
        Credentials(client_certificate=certified["client"], client_key=certified["client_key"])
    with pytest.raises(ServiceError, match="printable ASCII"):
        Credentials("a\nb")
