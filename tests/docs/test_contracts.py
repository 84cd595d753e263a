from __future__ import annotations

from pathlib import Path

import pytest

from docs.generate.contracts import page, read_contracts, type_links

ROOT = Path(__file__).parents[2]
FILE = """
syntax = "proto3";
package wordspot.v9;

// Answers <anything>.
service Oracle {
  // One | two.
  rpc Ask(stream Question) returns (stream Answer);
}

message Question {
  string text = 1;
  // Words
  // by number.
  map<int32, Answer> answers = 2;
  optional double seconds = 3;
  repeated Kind kinds = 4;

  enum Kind {
    // None was given.
    KIND_UNSPECIFIED = 0;
  }
}

message Answer {}
"""


@pytest.fixture
def described(tmp_path: Path) -> str:
    (tmp_path / "oracle.proto").write_text(FILE)
    files = read_contracts(tmp_path)
    return page(files[0], type_links(files, {"oracle.proto": "oracle.md"}))


def test_methods_tell_what_streams_and_link_their_messages(described: str) -> None:
    streams = "stream of [`Question`](oracle.md#question) | stream of [`Answer`](oracle.md#answer)"
    assert f"| `Ask` | {streams} | One \\| two. |" in described
    assert "Answers &lt;anything>." in described


def test_fields_have_type_number_and_comment(described: str) -> None:
    assert "| `text` | `string` | 1 |  |" in described
    assert (
        "| `answers` | map of `int32` to [`Answer`](oracle.md#answer) | 2 | Words by number. |" in described
    )
    assert "| `seconds` | optional `double` | 3 |  |" in described
    assert "| `kinds` | repeated [`Question.Kind`](oracle.md#question-kind) | 4 |  |" in described


def test_nested_enumerations_and_empty_messages_are_described(described: str) -> None:
    assert "## enum Question.Kind { #question-kind }" in described
    assert "| `KIND_UNSPECIFIED` | 0 | None was given. |" in described
    assert "## message Answer { #answer }\n\nIt has no fields." in described


def test_a_file_that_protoc_refuses_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad.proto").write_text("message {")
    with pytest.raises(ValueError, match="protoc refuses"):
        read_contracts(tmp_path)


def test_every_service_of_ours_is_described_with_all_its_methods() -> None:
    files = read_contracts(ROOT / "proto")
    links = type_links(files, {file.name: "page.md" for file in files})
    for file in files:
        text = page(file, links)
        for service in file.service:
            assert f"## service {service.name}" in text
            assert all(f"| `{method.name}` |" in text for method in service.method)
