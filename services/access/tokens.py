"""Tokens: a file of hashes, from which a server reads who may call it.

A token is `ws_ID_SECRET`. The file holds the SHA-256 of each secret, which has 256 random bits, so that
nothing slower than one hash is needed; whoever reads the file cannot call with it. Servers read it again
when it changes: a token that is revoked is refused from the next call on.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

from wordspot.services.access.principals import Principal, Scope, check_tenant
from wordspot.services.errors import ServiceError, Unauthenticated

PREFIX = "ws"
VERSION = 1
ID_BYTES, SECRET_BYTES = 6, 32
FILE_MODE = 0o600


class TokenFileError(ServiceError, ValueError):
    """A file of tokens cannot be used."""


@dataclass(frozen=True)
class StoredToken:
    """What the file holds of a token.

    Attributes:
        id: public, part of the token.
        sha256: of its secret, hexadecimal.
        name: for people.
        scope: read, write or admin.
        tenant: whose archives it opens; "" for those of no tenant.
        created: when, ISO 8601.
        expires: when it ends, ISO 8601; "" for never.
        calls_per_minute: 0 for any number.
        audio_hours: of sound that the tenant's archives may hold; 0 for any amount.
    """

    id: str
    sha256: str
    name: str
    scope: str
    tenant: str = ""
    created: str = ""
    expires: str = ""
    calls_per_minute: int = 0
    audio_hours: float = 0.0

    def __post_init__(self) -> None:
        Scope.parse(self.scope)
        check_tenant(self.tenant)
        for time in (self.created, self.expires):
            if time and datetime.fromisoformat(time).tzinfo is None:
                raise ValueError(f"a time must have a zone, got {time!r}")
        if self.calls_per_minute < 0 or self.audio_hours < 0:
            raise ValueError("calls_per_minute and audio_hours must be at least 0")

    def is_expired(self) -> bool:
        """Returns whether its time is over."""
        return bool(self.expires) and datetime.fromisoformat(self.expires) <= datetime.now(UTC)

    @property
    def principal(self) -> Principal:
        """Who calls with it."""
        return Principal(
            self.id, Scope.parse(self.scope), self.tenant, self.calls_per_minute, self.audio_hours
        )


class TokenFile:
    """A file of tokens: creates and revokes them, and finds the principal of a call.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] | None = None
        self._tokens: Mapping[str, StoredToken] = {}

    def tokens(self) -> list[StoredToken]:
        """Returns all tokens, in order of creation. Raises TokenFileError."""
        return list(self._current().values())

    def create(
        self,
        name: str,
        scope: Scope,
        tenant: str = "",
        *,
        days: float | None = None,
        calls_per_minute: int = 0,
        audio_hours: float = 0.0,
    ) -> tuple[StoredToken, str]:
        """Adds a token.

        Args:
            name: for people.
            scope: what it allows.
            tenant: whose archives it opens.
            days: after which it ends; None for never.
            calls_per_minute: as of StoredToken.
            audio_hours: as of StoredToken.

        Returns:
            The token's entry, and the token itself, which nothing stores.

        Raises:
            ValueError: the name of the tenant or a number is not allowed.
            TokenFileError: the file cannot be read or written.
        """
        if days is not None and days <= 0:
            raise ValueError(f"days must be above 0, got {days:g}")
        now = datetime.now(UTC)
        secret = secrets.token_urlsafe(SECRET_BYTES)
        token = StoredToken(
            id=secrets.token_hex(ID_BYTES),
            sha256=_sha256(secret),
            name=name,
            scope=scope.name.lower(),
            tenant=tenant,
            created=now.isoformat(timespec="seconds"),
            expires="" if days is None else (now + timedelta(days=days)).isoformat(timespec="seconds"),
            calls_per_minute=calls_per_minute,
            audio_hours=audio_hours,
        )
        with self._changing() as tokens:
            tokens[token.id] = token
        return token, f"{PREFIX}_{token.id}_{secret}"

    def revoke(self, token_id: str) -> StoredToken:
        """Removes a token and returns its entry. Raises TokenFileError."""
        with self._changing() as tokens:
            if token_id not in tokens:
                raise TokenFileError(f"no token {token_id!r} in {self._path}")
            return tokens.pop(token_id)

    def principal(self, text: str) -> Principal:
        """Returns who calls with a token. Raises Unauthenticated, TokenFileError."""
        prefix, _, rest = text.partition("_")
        token_id, _, secret = rest.partition("_")
        token = self._current().get(token_id) if prefix == PREFIX else None
        # Compared even where there is no such token: the time tells nothing.
        expected = "0" * 64 if token is None else token.sha256
        matches = hmac.compare_digest(_sha256(secret), expected)
        if token is None or not matches:
            raise Unauthenticated("the token is not valid")
        if token.is_expired():
            raise Unauthenticated(f"the token {token.id} ended at {token.expires}")
        return token.principal

    def _current(self) -> Mapping[str, StoredToken]:
        """Returns the tokens by id, read again if the file has changed. Raises TokenFileError."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise TokenFileError(f"cannot read {self._path}: {error.strerror}") from error
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        with self._lock:
            if stamp != self._stamp:
                self._tokens, self._stamp = _read(self._path), stamp
            return self._tokens

    @contextmanager
    def _changing(self) -> Iterator[dict[str, StoredToken]]:
        """Yields the tokens; what became of them is in the file afterwards, whole."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with self._path.with_name(f"{self._path.name}.lock").open("w") as lock:
                flock(lock, LOCK_EX)
                tokens = dict(_read(self._path)) if self._path.exists() else {}
                yield tokens
                _write(self._path, tokens)
        except OSError as error:
            raise TokenFileError(f"cannot write {self._path}: {error.strerror}") from error


def _read(path: Path) -> Mapping[str, StoredToken]:
    """Returns the tokens of a file by id. Raises TokenFileError."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            raise TokenFileError(f"{path} must have version {VERSION}, got {content['version']!r}")
        tokens = [StoredToken(**entry) for entry in content["tokens"]]
    except OSError as error:
        raise TokenFileError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise TokenFileError(f"{path} is not a file of tokens: {error}") from error
    return {token.id: token for token in tokens}


def _write(path: Path, tokens: Mapping[str, StoredToken]) -> None:
    """Replaces the file at once. Raises OSError."""
    content = {"version": VERSION, "tokens": [asdict(token) for token in tokens.values()]}
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
