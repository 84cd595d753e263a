from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from wordspot.services.commands import doctor


def found(home: Path) -> dict[str, doctor.Finding]:
    return {finding.what: finding for finding in doctor.examine(home)}


def test_a_machine_that_is_ready_has_no_problem(tmp_path: Path) -> None:
    findings = found(tmp_path / "home")
    assert {finding.what for finding in findings.values() if not finding.ok} == set()
    assert findings["encoder naive"].result.startswith("hash ")
    assert findings["home"].result == f"{tmp_path / 'home'} can be written"


def test_two_faiss_packages_are_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda package: "1.15.1")
    finding = found(tmp_path)["faiss"]
    assert not finding.ok
    assert "overwrite each other" in finding.result


def test_no_faiss_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda package: None)
    findings = found(tmp_path)
    assert not findings["faiss"].ok
    assert not findings["torch"].ok


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
