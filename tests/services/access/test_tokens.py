import json
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from wordspot.services.access.principals import Scope
from wordspot.services.access.tokens import TokenFile, TokenFileError
from wordspot.services.errors import Unauthenticated


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def test_a_token_gives_what_it_was_created_with(path: Path) -> None:
    _, text = TokenFile(path).create(
        "Anna", Scope.WRITE, "radio", days=1, calls_per_minute=60, audio_hours=2.5
    )
    principal = TokenFile(path).principal(text)
    assert (principal.scope, principal.tenant) == (Scope.WRITE, "radio")
    assert (principal.calls_per_minute, principal.audio_hours) == (60, 2.5)


def test_the_file_holds_no_secret_and_is_its_users_alone(path: Path) -> None:
    _, text = TokenFile(path).create("Anna", Scope.READ)
    assert text.rpartition("_")[2] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_token_is_refused_from_its_revocation_on_by_a_file_that_was_read_before(path: Path) -> None:
    serving = TokenFile(path)
    token, text = TokenFile(path).create("Anna", Scope.READ)
    _, other = TokenFile(path).create("Ben", Scope.READ)
    assert serving.principal(text).id == token.id
    TokenFile(path).revoke(token.id)
    with pytest.raises(Unauthenticated, match="not valid"):
        serving.principal(text)
    assert serving.principal(other)


@pytest.mark.parametrize("change", ["", "x", "_", "ws_0", "ws_00_00", "é"])
def test_what_is_not_exactly_the_token_is_refused(path: Path, change: str) -> None:
    tokens = TokenFile(path)
    _, text = tokens.create("Anna", Scope.READ)
    for wrong in (change, text + change if change else text[:-1], change + text[3:], text.upper()):
        with pytest.raises(Unauthenticated):
            tokens.principal(wrong)


def test_a_token_ends_when_its_time_is_over(path: Path) -> None:
    tokens = TokenFile(path)
    token, text = tokens.create("Anna", Scope.READ, days=1)
    content = json.loads(path.read_text())
    content["tokens"][0]["expires"] = "2020-01-01T00:00:00+00:00"
    path.write_text(json.dumps(content))
    with pytest.raises(Unauthenticated, match=f"the token {token.id} ended at 2020-01-01"):
        tokens.principal(text)
    assert not replace(token, expires="").is_expired()


def test_many_processes_may_create_tokens_at_once(path: Path) -> None:
    threads = [
        threading.Thread(target=lambda n=n: TokenFile(path).create(f"user {n}", Scope.READ)) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(token.name for token in TokenFile(path).tokens()) == [f"user {n}" for n in range(8)]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "not a file of tokens"),
        ("[]", "not a file of tokens"),
        ('{"version": 2, "tokens": []}', "must have version 1, got 2"),
        ('{"version": 1, "tokens": [{"id": "a"}]}', "not a file of tokens"),
    ],
)
def test_a_damaged_file_lets_nobody_in_and_is_named(path: Path, content: str, told: str) -> None:
    path.write_text(content)
    with pytest.raises(TokenFileError, match=told):
        TokenFile(path).principal("ws_a_b")
    with pytest.raises(TokenFileError, match=told):
        TokenFile(path).create("Anna", Scope.READ)
    assert path.read_text() == content


@pytest.mark.parametrize("tenant", ["Radio", "a:b", "-a", "a/b", "x" * 33])
def test_a_tenant_has_a_name_of_the_allowed_form(path: Path, tenant: str) -> None:
    with pytest.raises(ValueError, match="a tenant must have"):
        TokenFile(path).create("Anna", Scope.READ, tenant)
    assert not path.exists()
