"""Decides about each call: who makes it, whether it may, and what the audit log says of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

import grpc

from wordspot.indexer.errors import NotAllowed
from wordspot.services.access.audit import AuditLog
from wordspot.services.access.bearer import AUTHORIZATION, BEARER
from wordspot.services.access.principals import NOBODY, Principal, current_principal
from wordspot.services.access.rates import CallRates
from wordspot.services.access.scopes import needed_scope
from wordspot.services.access.tokens import PREFIX, TokenFile
from wordspot.services.errors import ServiceError, Unauthenticated, status_name
from wordspot.services.telemetry.context import current_request_id
from wordspot.services.telemetry.observation import texts

MAX_TOKEN_CHARACTERS = 8_192

call_subject: ContextVar[dict[str, Any] | None] = ContextVar("subject of the call", default=None)
"""What the call that this thread serves is about, for the audit log; None where there is none."""


class Authenticator(Protocol):
    """Tells who calls by a token."""

    def principal(self, text: str) -> Principal:
        """Returns who calls with a token. Raises Unauthenticated."""
        ...


class CallGuard:
    """Admits calls with a token that allows their method, and records them.

    Args:
        tokens: of this service's own making; None where there are none.
        provider: checks the tokens of an identity provider; None where there is none. Without either, anybody
            may call anything.
        audit: where calls are recorded; None for nowhere.
    """

    def __init__(
        self,
        tokens: Authenticator | None = None,
        provider: Authenticator | None = None,
        audit: AuditLog | None = None,
    ) -> None:
        self._tokens, self._provider, self._audit = tokens, provider, audit
        self._rates = CallRates()

    @property
    def asks(self) -> bool:
        """Whether a call needs a token."""
        return self._tokens is not None or self._provider is not None

    @contextmanager
    def entered(self, method: str, context: grpc.ServicerContext) -> Iterator[Principal]:
        """Holds for the time of a call who makes it.

        Args:
            method: /package.Service/Method.
            context: of the call.

        Raises:
            Unauthenticated: the call has no valid token.
            NotAllowed: the token does not allow the method.
            Overloaded: the principal makes more calls than it may.
        """
        metadata = texts(context.invocation_metadata())
        begin, principal, outcome = time.monotonic(), NOBODY, "OK"
        subject: dict[str, Any] | None = None if self._audit is None else {}
        try:
            principal = self._principal(metadata)
            self._check_allowed(principal, method)
            current_principal.set(principal)
            call_subject.set(subject)
            yield principal
        except BaseException as error:
            outcome = status_name(error)
            raise
        finally:
            if self._audit is not None and subject is not None:
                self._audit.write(
                    request_id=current_request_id.get(),
                    principal=principal.id,
                    tenant=principal.tenant,
                    peer=context.peer(),
                    method=method.rpartition("/")[2],
                    **subject,
                    status=outcome,
                    seconds=round(time.monotonic() - begin, 3),
                )

    def _check_allowed(self, principal: Principal, method: str) -> None:
        """Raises NotAllowed, Overloaded."""
        scope = needed_scope(method)
        if principal.scope < scope:
            raise NotAllowed(
                f"{method.rpartition('/')[2]} needs scope {scope.name.lower()}, "
                f"{principal.id} has {principal.scope.name.lower()}"
            )
        self._rates.take(principal)

    def _principal(self, metadata: Mapping[str, str]) -> Principal:
        """Raises Unauthenticated."""
        if not self.asks:
            return NOBODY
        token = _bearer(metadata)
        ours = token.startswith(f"{PREFIX}_")
        authenticator = self._tokens if ours else self._provider
        if authenticator is None:
            raise Unauthenticated("the token is not valid")
        return authenticator.principal(token)


def open_guard(tokens: Path | None, provider: Authenticator | None, audit: Path | None) -> CallGuard:
    """Returns a guard over a file of tokens, an identity provider and an audit log, each None for none.

    Raises ServiceError where a file cannot be used.
    """
    token_file = None if tokens is None else TokenFile(tokens)
    if tokens is not None and not tokens.exists():
        raise ServiceError(f"there is no file of tokens {tokens}: `wordspot token create` makes one")
    if token_file is not None:
        token_file.tokens()  # a damaged file stops the start, not the first call
    return CallGuard(token_file, provider, None if audit is None else AuditLog(audit))


def _bearer(metadata: Mapping[str, str]) -> str:
    """Returns the token of a call. Raises Unauthenticated."""
    value = metadata.get(AUTHORIZATION, "")
    kind, _, token = value.partition(" ")
    if not value:
        raise Unauthenticated("the call needs a token: metadata `authorization: Bearer TOKEN`")
    if kind.lower() != BEARER or not token.strip():
        raise Unauthenticated("authorization must be `Bearer TOKEN`")
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise Unauthenticated(
            f"a token must have at most {MAX_TOKEN_CHARACTERS:,} characters, got {len(token):,}"
        )
    return token.strip()
