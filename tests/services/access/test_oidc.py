"""Tokens of an identity provider that the test plays, with keys of its own."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwk, jwt

from wordspot.services.access.oidc import Provider, Verifier
from wordspot.services.access.principals import Scope
from wordspot.services.errors import PeerUnavailable, ServiceError, Unauthenticated

ISSUER, AUDIENCE = "https://id.example.org", "wordspot"


@pytest.fixture(scope="module")
def key() -> jwk.RSAKey:
    return jwk.RSAKey.generate_key(2_048, {"kid": "first"})


@pytest.fixture
def keys(tmp_path: Path, key: jwk.RSAKey) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    return path


@pytest.fixture
def verifier(keys: Path) -> Verifier:
    return Verifier(Provider(ISSUER, AUDIENCE, str(keys)))


def token(key: Any, *, algorithm: str = "RS256", **claims: Any) -> str:
    given = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "anna",
        "exp": int(time.time()) + 600,
        "scope": "wordspot:read",
    }
    header = {"alg": algorithm, "kid": key.kid}
    return jwt.encode(header, {**given, **claims}, key, algorithms=[algorithm])


def test_claims_give_the_principal(verifier: Verifier, key: jwk.RSAKey) -> None:
    principal = verifier.principal(
        token(key, scope="openid wordspot:read wordspot:write", wordspot_tenant="radio")
    )
    assert (principal.id, principal.scope, principal.tenant) == ("anna", Scope.WRITE, "radio")
    assert verifier.principal(token(key, scope=None, scp=["wordspot:admin"])).scope is Scope.ADMIN


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example.org"},
        {"aud": "another"},
        {"exp": 1},
        {"nbf": 4_000_000_000},
        {"sub": None},
        {"scope": "openid"},
        {"scope": "wordspot:everything"},
        {"wordspot_tenant": "a:b"},
    ],
    ids=lambda claims: next(iter(claims)),
)
def test_a_token_that_is_not_meant_for_here_is_refused(
    verifier: Verifier, key: jwk.RSAKey, claims: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated):
        verifier.principal(token(key, **claims))


def test_a_token_that_another_key_signed_is_refused(verifier: Verifier) -> None:
    with pytest.raises(Unauthenticated):
        verifier.principal(token(jwk.RSAKey.generate_key(2_048, {"kid": "first"})))


def test_a_secret_made_of_the_public_key_signs_nothing(verifier: Verifier, keys: Path) -> None:
    public = json.loads(keys.read_text())["keys"][0]
    forged = jwk.OctKey.import_key(json.dumps(public).encode(), {"kid": "first"})
    for text in (token(forged, algorithm="HS256"), "eyJhbGciOiJub25lIn0.e30.", "a.b.c", ""):
        with pytest.raises(Unauthenticated):
            verifier.principal(text)


def test_a_new_key_of_the_provider_is_found(
    keys: Path, key: jwk.RSAKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wordspot.services.access.oidc.MIN_REFRESH_S", 0.0)
    verifier = Verifier(Provider(ISSUER, AUDIENCE, str(keys)))
    verifier.principal(token(key))
    second = jwk.RSAKey.generate_key(2_048, {"kid": "second"})
    keys.write_text(json.dumps({"keys": [second.as_dict(private=False)]}))
    assert verifier.principal(token(second)).id == "anna"


def test_keys_that_cannot_be_read_are_the_providers_fault(keys: Path, key: jwk.RSAKey) -> None:
    verifier = Verifier(Provider(ISSUER, AUDIENCE, str(keys)))
    keys.unlink()
    with pytest.raises(PeerUnavailable, match="keys of the identity provider cannot be read"):
        verifier.principal(token(key))
    with pytest.raises(ServiceError, match="https URL or a file"):
        Verifier(Provider(ISSUER, AUDIENCE, "http://id.example.org/keys"))
