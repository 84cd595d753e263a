"""The document and the answers: what it allows gets an answer that it names, and none of the 500s."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

EXAMPLES = 8  # of each operation
OPERATIONS = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # to shrink what fails takes minutes
    suppress_health_check=list(HealthCheck),
)
CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


DELETING = ("delete_archive", "delete_recording")  # of what the others need


@schemathesis.serializer("application/offset+octet-stream")
def piece(context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def asking(operation: Any, known: dict[str, str], mode: GenerationMode) -> Any:
    """A test of one operation, which names what there is in every other request."""
    checks = [CHECKS.get_one(name) for name in CHECKED]
    deletes = operation.definition.raw.get("operationId") in DELETING

    @OPERATIONS
    @given(case=operation.as_strategy(generation_mode=mode), exists=strategies.booleans())
    def ask(case: Any, exists: bool) -> None:
        if exists and not deletes:
            case.path_parameters |= {
                name: value for name, value in known.items() if name in case.path_parameters
            }
        case.call_and_validate(checks=checks, timeout=60)

    return ask


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
def test_every_answer_is_one_that_the_document_names(
    served: Any, recordings: dict[str, Path], mode: GenerationMode
) -> None:
    ids = served.index(*recordings.values())
    (operation,) = served.ask("GET", "/archives/default/operations")["operations"]
    known = {"archive": "default", "recording": ids["tea"], "operation": operation["id"]}
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    failures: list[str] = []
    count = 0
    for result in schema.get_all_operations():
        count += 1
        try:
            asking(result.ok(), known, mode)()
        except Unsatisfiable:  # nothing of it can be wrong
            assert mode is GenerationMode.NEGATIVE
        except Exception as error:
            failures.append(f"{result.ok().label}: {error}")
    assert count > 50
    assert not failures, "\n\n".join(failures)
