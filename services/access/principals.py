"""Principals: who calls, in which tenant, with which scopes."""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum

MAX_TENANT_CHARACTERS = 32
_TENANT = re.compile(rf"[a-z0-9][a-z0-9-]{{0,{MAX_TENANT_CHARACTERS - 1}}}")


class Scope(IntEnum):
    """What a principal may do; each scope includes those before it.

    Attributes:
        READ: search, list, hear, and call models.
        WRITE: add, index, mark and delete recordings too.
        ADMIN: delete, verify, repair and compact archives, load and unload models too.
    """

    READ = 1
    WRITE = 2
    ADMIN = 3

    @classmethod
    def parse(cls, text: str) -> Scope:
        """Returns the scope of that name. Raises ValueError."""
        try:
            return cls[text.strip().upper()]
        except KeyError:
            names = ", ".join(scope.name.lower() for scope in cls)
            raise ValueError(f"scope must be one of {names}, got {text!r}") from None


@dataclass(frozen=True)
class Principal:
    """Who calls.

    Attributes:
        id: of the token, or the subject that an identity provider names.
        scope: the widest that it has.
        tenant: whose archives it sees; "" for those of no tenant.
        calls_per_minute: how many calls it may make; 0 for any number.
        audio_hours: how much sound the archives of its tenant may hold; 0 for any amount.
    """

    id: str
    scope: Scope
    tenant: str = ""
    calls_per_minute: int = 0
    audio_hours: float = 0.0

    @property
    def is_operator(self) -> bool:
        """Whether it sees the archives of all tenants, under their names in the catalogue."""
        return not self.tenant and self.scope is Scope.ADMIN


NOBODY = Principal("", Scope.ADMIN)
"""The caller of a server that asks nobody for a token."""

current_principal: ContextVar[Principal] = ContextVar("principal", default=NOBODY)
"""Whose call this thread serves."""


def check_tenant(name: str) -> str:
    """Returns the name of a tenant. Raises ValueError unless it is empty or of the allowed form."""
    if name and not _TENANT.fullmatch(name):
        raise ValueError(
            f"a tenant must have 1 to {MAX_TENANT_CHARACTERS} lower-case letters, digits and hyphens, "
            f"got {name!r}"
        )
    return name
