"""Bearer tokens of an identity provider (OpenID Connect), which its published keys verify."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wordspot.services.access.principals import Principal, Scope, check_tenant
from wordspot.services.errors import PeerUnavailable, ServiceError, Unauthenticated

ALGORITHMS = ("RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA")  # none that a public key could forge
CLOCK_SKEW_S = 60
FETCH_TIMEOUT_S = 5.0
MAX_KEYS_BYTES = 1 << 20
MIN_REFRESH_S = 30.0  # between two fetches of keys: unknown key ids cannot cause more


@dataclass(frozen=True)
class Provider:
    """An identity provider.

    Attributes:
        issuer: that its tokens must name.
        audience: that its tokens must be meant for.
        keys: where its JSON Web Key Set lies: an https URL, or the path of a file.
        scope_prefix: before the names of scopes in the claim `scope`, such as wordspot: in wordspot:read.
        tenant_claim: the claim that names the tenant.
    """

    issuer: str
    audience: str
    keys: str
    scope_prefix: str = "wordspot:"
    tenant_claim: str = "wordspot_tenant"


class Verifier:
    """Checks the tokens of one provider. Needs the extra `oidc`.

    Args:
        provider: whose tokens.

    Raises:
        ServiceError: the extra is not installed, or the address of the keys is not https.
    """

    def __init__(self, provider: Provider) -> None:
        try:
            from joserfc import jwk, jwt
        except ImportError as error:
            raise ServiceError("bearer tokens of an identity provider need the extra oidc") from error
        if urlsplit(provider.keys).scheme not in ("https", "") and not Path(provider.keys).exists():
            raise ServiceError(
                f"the keys of a provider must be an https URL or a file, got {provider.keys!r}"
            )
        self._jwk, self._jwt = jwk, jwt
        self._provider = provider
        self._lock = threading.Lock()
        self._keys: Any = None
        self._fetched = float("-inf")

    def principal(self, text: str) -> Principal:
        """Returns who calls with a token. Raises Unauthenticated, PeerUnavailable."""
        claims = self._claims(text)
        provider = self._provider
        try:
            registry = self._jwt.JWTClaimsRegistry(
                leeway=CLOCK_SKEW_S,
                iss={"essential": True, "value": provider.issuer},
                aud={"essential": True, "value": provider.audience},
                exp={"essential": True},
                sub={"essential": True},
            )
            registry.validate(dict(claims))
            tenant = check_tenant(str(claims.get(provider.tenant_claim, "")))
        except Exception as error:  # the library's classes have no common base but Exception
            raise Unauthenticated(f"the token is not valid: {error}") from error
        scope = _widest(claims, provider.scope_prefix)
        if scope is None:
            raise Unauthenticated(f"the token must have a scope such as {provider.scope_prefix}read")
        return Principal(str(claims["sub"]), scope, tenant)

    def _claims(self, text: str) -> Mapping[str, Any]:
        """Returns the claims of a token with a good signature; looks for new keys once where it has none."""
        for fresh in (False, True):
            try:
                token = self._jwt.decode(text, self._key_set(fresh), algorithms=list(ALGORITHMS))
            except PeerUnavailable:
                raise
            except Exception as error:
                if fresh:
                    raise Unauthenticated(f"the token is not valid: {error}") from error
                continue
            claims: Mapping[str, Any] = token.claims
            return claims
        raise AssertionError("a fresh key set gives claims or an error")

    def _key_set(self, fresh: bool) -> Any:
        with self._lock:
            due = time.monotonic() - self._fetched >= MIN_REFRESH_S
            if self._keys is None or (fresh and due):
                self._keys = self._jwk.KeySet.import_key_set(_fetched(self._provider.keys))
                self._fetched = time.monotonic()
            return self._keys


def _fetched(place: str) -> Any:
    """Returns a JSON Web Key Set. Raises PeerUnavailable."""
    try:
        if urlsplit(place).scheme == "https":
            with urllib.request.urlopen(place, timeout=FETCH_TIMEOUT_S) as answer:
                return json.loads(answer.read(MAX_KEYS_BYTES))
        return json.loads(Path(place).read_bytes())
    except (OSError, ValueError) as error:
        raise PeerUnavailable(f"the keys of the identity provider cannot be read: {error}") from error


def _widest(claims: Mapping[str, Any], prefix: str) -> Scope | None:
    """Returns the widest scope of the claim `scope` or `scp`; None where there is none."""
    value = claims.get("scope") or claims.get("scp") or ""
    listed = value if isinstance(value, list) else []
    names: Sequence[str] = value.split() if isinstance(value, str) else [*map(str, listed)]
    scopes = [name.removeprefix(prefix).upper() for name in names if name.startswith(prefix)]
    known = [Scope[name] for name in scopes if name in Scope.__members__]
    return max(known, default=None)
