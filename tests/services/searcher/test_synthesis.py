from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
import soundfile

from wordspot.indexer.audio import write_wav
from wordspot.indexer.errors import FailedPrecondition, InvalidInput
from wordspot.services import errors
from wordspot.services.client import Client, StoredQuery, Synthesis, TypedQuery
from wordspot.services.runtime import MAX_EXAMPLES, MAX_SPEAKERS
from wordspot.services.searcher import synthesis
from wordspot.services.searcher.synthesis import SPEAKERS, Synthesiser
from wordspot.v1 import audio_pb2, search_pb2

pytest.importorskip("espeakng_loader")

VOICES = tuple(voice.variant for voice in SPEAKERS)


@pytest.fixture
def up(running: Callable[..., SimpleNamespace], recordings: dict[str, Path]) -> SimpleNamespace:
    """An archive "default" of the sentences, indexed."""
    up = running()
    with Client(up.address) as client:
        client.index(recordings.values())
    return up


@pytest.fixture
def client(up: SimpleNamespace) -> Iterator[Client]:
    with Client(up.address) as client:
        yield client


@pytest.fixture
def without_espeak(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the package were not installed."""
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)


def asked(up: SimpleNamespace, *parts: search_pb2.SearchRequest) -> list[search_pb2.SearchResult]:
    options = search_pb2.SearchOptions(archive="default", include_undetected=True)
    stream = iter([search_pb2.SearchRequest(options=options), *parts])
    return [response.result for response in up.searches.Search(stream)]


def refused(up: SimpleNamespace, *parts: search_pb2.SearchRequest) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        asked(up, *parts)
    return caught.value


def typed(text: str, **fields: Any) -> search_pb2.SearchRequest:
    return search_pb2.SearchRequest(typed=search_pb2.TypedQuery(text=text, **fields))


class TestSynthesiser:
    def test_the_same_text_gives_the_same_bytes_whoever_else_speaks(self) -> None:
        synthesiser = Synthesiser(at_once=2)
        with ThreadPoolExecutor(4) as threads:
            one, other, again, alone = threads.map(
                lambda text: synthesiser.speak(text, "en", 2), ("tea", "milk", "tea", "tea")
            )
        assert one == again == alone
        assert other.utterances[0].data != one.utterances[0].data

    def test_each_speaker_says_the_text_between_silences(self) -> None:
        spoken = Synthesiser().speak("conference", "en_US", MAX_SPEAKERS)
        assert spoken.synthesiser.startswith("espeak-ng 1.")
        assert (spoken.language, spoken.speakers) == ("en-us", VOICES)
        assert len({utterance.data for utterance in spoken.utterances}) == MAX_SPEAKERS
        for utterance in spoken.utterances:
            samples, rate = soundfile.read(io.BytesIO(utterance.data), dtype="float32")
            start, end = (round(rate * at) for at in utterance.interval)
            assert 0.4 * rate < end - start < 1.2 * rate
            assert not samples[: round(0.1 * rate)].any()
            assert not samples[-round(0.1 * rate) :].any()
            assert np.abs(samples[start:end]).max() > 0.1

    def test_digits_and_other_scripts_are_read_out(self) -> None:
        synthesiser = Synthesiser()
        digits, chinese = synthesiser.speak("25", "en", 1), synthesiser.speak("你好", "cmn", 1)
        assert digits.utterances[0].interval[1] > 0.5
        assert chinese.utterances[0].interval[1] > 0.5

    @pytest.mark.parametrize(
        ("text", "language", "told"),
        [
            ("", "en", "the text has 0 characters; 1 to 100 are allowed"),
            (" \t\n", "en", "the text has 0 characters; 1 to 100 are allowed"),
            ("a" * 101, "en", "the text has 101 characters; 1 to 100 are allowed"),
            ("tea\0milk", "en", r"the text holds '\\x00'; no control characters are allowed"),
            ("?!", "en", r"the text '\?!' says nothing; a letter or digit is needed"),
            ("25", "sjn", "espeak-ng says nothing for '25' in the language 'sjn'"),
            ("7" * 100, "en", r"takes 1\d\.\d s to say; at most 10 s are allowed"),
            ("tea", "english", "no language 'english'; near it are en, .*en-us"),
            ("tea", "", "no language ''; all are af, am, .*yue"),
            ("tea", "../en", "no language '../en'"),
            ("tea", "en+whisper", r"no language 'en\+whisper'"),
            ("tea", "e" * 1_000_000, "a language code of 1000000 characters; at most 35 are allowed"),
        ],
    )
    def test_what_cannot_be_said_is_refused(self, text: str, language: str, told: str) -> None:
        with pytest.raises(InvalidInput, match=told):
            Synthesiser().speak(text, language, 1)

    @pytest.mark.parametrize("speakers", [0, MAX_SPEAKERS + 1])
    def test_a_number_of_speakers_that_there_is_not_is_refused(self, speakers: int) -> None:
        with pytest.raises(InvalidInput, match=f"{speakers} speakers; 1 to {len(SPEAKERS)} are allowed"):
            Synthesiser().speak("tea", "en", speakers)

    def test_a_synthesiser_that_takes_too_long_or_too_much_memory_is_ended(self) -> None:
        with pytest.raises(InvalidInput, match=r"speaking 'tea' took more than 0\.01 s, stopped"):
            Synthesiser(seconds=0.01).speak("tea")
        with pytest.raises(InvalidInput, match=r"speaking 'tea' failed \(exit status|SIG"):
            Synthesiser(memory_bytes=1 << 25).speak("tea")

    @pytest.mark.usefixtures("without_espeak")
    def test_without_the_extra_it_is_named(self) -> None:
        with pytest.raises(FailedPrecondition, match=r"pip install 'wordspot\[synthesis\]'"):
            Synthesiser().speak("tea")


class TestTypedQuery:
    def test_the_answer_is_that_of_the_same_voices_in_files_and_says_who_they_are(
        self, up: SimpleNamespace
    ) -> None:
        (result,) = asked(up, typed("tea", label="my tea", language="en-US", speakers=3))
        assert result.label == "my tea"
        assert result.synthesis.synthesiser.startswith("espeak-ng ")
        assert result.synthesis.language == "en-us"
        assert tuple(result.synthesis.speakers) == VOICES[:3]
        parts = []
        for number, utterance in enumerate(Synthesiser().speak("tea", "en-us", 3).utterances):
            start, end = utterance.interval
            head = search_pb2.QueryHeader(
                interval=audio_pb2.Interval(start_seconds=start, end_seconds=end), label="my tea"
            )
            parts.append(search_pb2.SearchRequest(**{"example" if number else "query": head}))
            parts.append(search_pb2.SearchRequest(chunk=utterance.data))
        (files,) = asked(up, *parts)
        assert list(result.hits) == list(files.hits) != []
        assert result.compared == files.compared
        assert not files.HasField("synthesis")

    def test_four_voices_speak_english_unless_told_otherwise(self, up: SimpleNamespace) -> None:
        (result,) = asked(up, typed("tea"))
        assert result.synthesis.language == "en"
        assert tuple(result.synthesis.speakers) == VOICES[:4]

    def test_typed_queries_stand_among_others_in_order(
        self, up: SimpleNamespace, say: Callable[..., np.ndarray]
    ) -> None:
        spoken = [
            search_pb2.SearchRequest(query=search_pb2.QueryHeader(label="spoken")),
            search_pb2.SearchRequest(chunk=write_wav(say("tea", voice=9))),
        ]
        results = asked(
            up,
            typed("milk", label="one", speakers=1),
            *spoken,
            typed("tea", label="two", speakers=1),
            *spoken,
        )
        assert [result.label for result in results] == ["one", "spoken", "two", "spoken"]
        assert [result.HasField("synthesis") for result in results] == [True, False, True, False]

    @pytest.mark.parametrize(
        ("fields", "reason", "told"),
        [
            ({"text": ""}, "INVALID_INPUT", "query 'x': the text has 0 characters"),
            ({"text": "tea", "language": "xy"}, "INVALID_INPUT", "query 'x': espeak-ng has no language 'xy'"),
            ({"text": "tea", "speakers": 9}, "MALFORMED_REQUEST", "speakers is 9; 0 to 8 is allowed"),
            ({"text": "tea", "speakers": -1}, "MALFORMED_REQUEST", "speakers is -1; 0 to 8 is allowed"),
            (
                {"text": "tea", "examples": [search_pb2.Stretch()] * 13},
                "MALFORMED_REQUEST",
                f"a query of 4 speakers and 13 examples; {MAX_EXAMPLES} in all are allowed",
            ),
        ],
    )
    def test_what_cannot_be_asked_is_invalid(
        self, up: SimpleNamespace, fields: dict[str, Any], reason: str, told: str
    ) -> None:
        error = refused(up, typed(label="x", **fields))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert errors.reason_of(error) == reason
        assert told in error.details()

    @pytest.mark.usefixtures("without_espeak")
    def test_without_the_extra_the_service_says_how_to_get_it(self, up: SimpleNamespace) -> None:
        error = refused(up, typed("tea", label="tea"))
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "query 'tea': typed queries need" in error.details()
        assert "pip install 'wordspot[synthesis]'" in error.details()


class TestClient:
    def test_a_typed_query_goes_alone_or_with_stretches(
        self, client: Client, recordings: dict[str, Path], say: Callable[..., np.ndarray]
    ) -> None:
        hits = client.search(TypedQuery("tea", speakers=1), all_hits=True)
        (best, *_) = client.search(write_wav(say("tea", voice=9)))
        stored = StoredQuery(best.recording, best.start, best.end)
        (answer,) = client.search_batch([[stored, TypedQuery("tea", speakers=1)]], all_hits=True)
        assert isinstance(answer.synthesis, Synthesis)
        assert (answer.synthesis.language, answer.synthesis.speakers) == ("en", VOICES[:1])
        assert answer.hits != tuple(hits)
        assert answer.hits[0].recording == best.recording
        for other in (recordings["tea"], TypedQuery("milk")):
            with pytest.raises(InvalidInput, match="one that is typed is allowed"):
                client.search([TypedQuery("tea"), other])

    def test_a_batch_goes_on_after_a_text_that_cannot_be_said(self, client: Client) -> None:
        queries = [TypedQuery(text, speakers=1) for text in ("tea", "?", "x" * 10_000, "milk")]
        answers = list(client.search_batch([*queries, TypedQuery("tea", speakers=9)], all_hits=True))
        assert [bool(answer.problem) for answer in answers] == [False, True, True, False, True]
        assert "the text '?' says nothing" in answers[1].problem
        assert "the text has 10000 characters; 1 to 100 are allowed" in answers[2].problem
        assert "9 speakers; 1 to 8 are allowed" in answers[4].problem
        assert answers[0].synthesis is not None

    @pytest.mark.usefixtures("without_espeak")
    def test_without_the_extra_a_batch_ends(self, client: Client) -> None:
        with pytest.raises(FailedPrecondition, match=r"pip install 'wordspot\[synthesis\]'"):
            list(client.search_batch([TypedQuery("tea"), TypedQuery("milk")]))


def test_as_many_speakers_may_be_asked_for_as_there_are() -> None:
    assert len(SPEAKERS) == MAX_SPEAKERS
    assert len(set(VOICES)) == len(VOICES) > synthesis.DEFAULT_SPEAKERS == TypedQuery.speakers
    assert TypedQuery.language == synthesis.DEFAULT_LANGUAGE
