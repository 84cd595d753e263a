from __future__ import annotations

import pytest
from pydantic import ValidationError

from wordspot.services.gateway.messages import message_of, model_of, plain
from wordspot.services.gateway.problems import Problem
from wordspot.v1 import archive_pb2, models_pb2

Verdicts = model_of(archive_pb2.SetVerdictsRequest, without="archive")
Examples = model_of(models_pb2.GetLogLikelihoodRequest, without="model")


def test_json_becomes_a_message_and_json_again() -> None:
    verdict = {
        "recording": "r",
        "interval": {"start_seconds": 1, "end_seconds": 2.5},
        "correct": True,
        "create_time": "2020-02-03T04:05:06Z",
        "channel": 2,
    }
    body = Verdicts.model_validate({"verdicts": [verdict]})
    message = message_of(archive_pb2.SetVerdictsRequest, body, archive="a")
    assert message.archive == "a"
    told = plain(message)["verdicts"][0]
    assert {name: told[name] for name in verdict} == verdict


def test_bytes_are_base64_and_large_numbers_numbers() -> None:
    body = Examples.model_validate({"sounds": {"wav": ["UklGRg=="]}, "seed": (1 << 64) - 1})
    message = message_of(models_pb2.GetLogLikelihoodRequest, body, model="m")
    assert (message.sounds.wav[0], message.seed) == (b"RIFF", (1 << 64) - 1)
    assert plain(message)["seed"] == (1 << 64) - 1
    assert plain(message)["sounds"] == {"wav": ["UklGRg=="]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"sounds": {"wav": ["?"]}}, "sounds.wav[0]"),
        ({"sounds": {}, "texts": {}}, "texts"),
    ],
)
def test_what_no_message_could_hold_is_a_problem_of_its_field(body: dict[str, object], field: str) -> None:
    with pytest.raises(Problem) as raised:
        message_of(models_pb2.GetLogLikelihoodRequest, Examples.model_validate(body))
    assert (raised.value.status, raised.value.field) == (422, field)


def test_a_time_that_is_none_is_a_problem() -> None:
    body = Verdicts.model_validate({"verdicts": [{"create_time": "yesterday"}]})
    with pytest.raises(Problem, match="must be a time of RFC 3339, got 'yesterday'") as raised:
        message_of(archive_pb2.SetVerdictsRequest, body)
    assert raised.value.field == "verdicts[0].create_time"


@pytest.mark.parametrize(
    "body", [{"seed": -1}, {"seed": 1 << 64}, {"seed": "1"}, {"sed": 1}, {"texts": ["a"]}]
)
def test_values_of_other_types_and_other_names_are_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Examples.model_validate(body)
