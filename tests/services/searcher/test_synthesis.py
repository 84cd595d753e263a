from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
import soundfile

from wordspot import Client, StoredQuery, TypedQuery
from wordspot.indexer.errors import FailedPrecondition, InvalidInput
from wordspot.indexer.sound.audio import write_wav
from wordspot.services import errors
from wordspot.services.answers import Synthesis
from wordspot.services.embedded import EmbeddedServer, EmbeddedSettings
from wordspot.services.limits import DEFAULT_SPEAKERS, MAX_EXAMPLES, MAX_SPEAKERS
from wordspot.services.modelhost.repository import ModelRepository
from wordspot.services.searcher import synthesis
from wordspot.services.searcher.synthesis import SPEAKERS, Synthesiser
from wordspot.services.settings import SearcherSettings, SegmenterSettings
from wordspot.v1 import audio_pb2, search_pb2

pytest.importorskip("espeakng_loader")

VOICES = tuple(voice.variant for voice in SPEAKERS)
LONG_TEXT = "7" * 90


def workers_of(service: int) -> list[psutil.Process]:
    processes = psutil.Process(service).children()
    return [process for process in processes if "synthesis_worker" in " ".join(process.cmdline())]


@pytest.fixture
def workers() -> Callable[[], list[psutil.Process]]:
    """Those of this process that the test started."""
    others = workers_of(os.getpid())
    return lambda: [worker for worker in workers_of(os.getpid()) if worker not in others]


def wait_for_fork(worker: psutil.Process) -> psutil.Process:
    """The fork that speaks, stopped while it does, once it has let go of its caller's connection."""
    while not (forks := worker.children()) or holds_a_socket(forks[0]):
        time.sleep(0.001)
    forks[0].suspend()
    return forks[0]


def holds_a_socket(process: psutil.Process) -> bool:
    return any(is_socket(file) for file in Path(f"/proc/{process.pid}/fd").iterdir())


def is_socket(descriptor: Path) -> bool:
    try:
        return str(descriptor.readlink()).startswith("socket:")
    except FileNotFoundError:  # Closed since it was listed.
        return False


@pytest.fixture(scope="module")
def synthesiser() -> Iterator[Synthesiser]:
    with Synthesiser() as synthesiser:
        yield synthesiser


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
    def test_the_same_text_gives_the_same_bytes_whoever_else_speaks(
        self, workers: Callable[[], list[psutil.Process]]
    ) -> None:
        with Synthesiser(max_workers=2, cache_bytes=0) as synthesiser, ThreadPoolExecutor(4) as threads:
            one, other, again, alone = threads.map(
                lambda text: synthesiser.speak(text, "en", 2), ("tea", "milk", "tea", "tea")
            )
            assert 1 <= len(workers()) <= 2
        assert one == again == alone
        assert other.utterances[0].data != one.utterances[0].data

    def test_each_speaker_says_the_text_between_silences(self, synthesiser: Synthesiser) -> None:
        spoken = synthesiser.speak("conference", "en_US", MAX_SPEAKERS)
        assert spoken.synthesis.synthesiser.startswith("espeak-ng 1.")
        assert (spoken.synthesis.language, spoken.synthesis.speakers) == ("en-us", VOICES)
        assert len({utterance.data for utterance in spoken.utterances}) == MAX_SPEAKERS
        for utterance in spoken.utterances:
            samples, rate = soundfile.read(io.BytesIO(utterance.data), dtype="float32")
            start, end = (round(rate * at) for at in utterance.interval)
            assert 0.4 * rate < end - start < 1.2 * rate
            assert not samples[: round(0.1 * rate)].any()
            assert not samples[-round(0.1 * rate) :].any()
            assert np.abs(samples[start:end]).max() > 0.1

    def test_digits_and_other_scripts_are_read_out(self, synthesiser: Synthesiser) -> None:
        digits, chinese = synthesiser.speak("25", "en", 1), synthesiser.speak("你好", "cmn", 1)
        assert digits.utterances[0].interval[1] > 0.5
        assert chinese.utterances[0].interval[1] > 0.5

    @pytest.mark.parametrize(
        ("text", "language", "told"),
        [
            ("", "en", "the text must have between 1 and 100 characters, got 0"),
            (" \t\n", "en", "the text must have between 1 and 100 characters, got 0"),
            ("a" * 101, "en", "the text must have between 1 and 100 characters, got 101"),
            ("tea\0milk", "en", r"the text must have no control characters, got '\\x00'"),
            ("?!", "en", r"the text must have a letter or digit, got '\?!'"),
            ("25", "sjn", "espeak-ng has no sound for '25' in the language 'sjn'"),
            ("7" * 100, "en", r"must take at most 10 s to speak, got 1\d\.\d s"),
            ("tea", "english", "no language 'english'; near it are en, .*en-us"),
            ("tea", "", "no language ''; all are af, am, .*yue"),
            ("tea", "../en", "no language '../en'"),
            ("tea", "en+whisper", r"no language 'en\+whisper'"),
            ("tea", "e" * 1_000_000, "a language code must have at most 35 characters, got 1000000"),
        ],
    )
    def test_what_cannot_be_said_is_refused(
        self, text: str, language: str, told: str, synthesiser: Synthesiser
    ) -> None:
        with pytest.raises(InvalidInput, match=told):
            synthesiser.speak(text, language, 1)

    @pytest.mark.parametrize("speakers", [0, MAX_SPEAKERS + 1])
    def test_a_number_of_speakers_that_there_is_not_is_refused(
        self, speakers: int, synthesiser: Synthesiser
    ) -> None:
        with pytest.raises(
            InvalidInput, match=f"speakers must be between 1 and {len(SPEAKERS)}, got {speakers}"
        ):
            synthesiser.speak("tea", "en", speakers)

    def test_a_text_that_takes_too_long_costs_its_worker(
        self, workers: Callable[[], list[psutil.Process]]
    ) -> None:
        with Synthesiser(seconds=1e-4) as synthesiser:
            with pytest.raises(InvalidInput, match=r"speaking 'tea' took more than 0\.0001 s, stopped"):
                synthesiser.speak("tea")
            assert workers() == []

    def test_a_text_that_takes_too_much_memory_costs_no_worker(
        self, workers: Callable[[], list[psutil.Process]]
    ) -> None:
        with Synthesiser(memory_bytes=1 << 25, max_workers=1) as synthesiser:
            for text in ("tea", "milk"):
                with pytest.raises(
                    InvalidInput, match=rf"speaking '{text}' failed|has no sound for '{text}'"
                ):
                    synthesiser.speak(text)
                (worker,) = workers()
            assert worker.children() == []

    @pytest.mark.usefixtures("without_espeak")
    def test_without_the_extra_it_is_named(self, synthesiser: Synthesiser) -> None:
        with pytest.raises(FailedPrecondition, match=r"pip install 'wordspot\[synthesis\]'"):
            synthesiser.speak("tea")

    def test_a_second_text_needs_no_new_process(self, workers: Callable[[], list[psutil.Process]]) -> None:
        with Synthesiser() as synthesiser:
            assert workers() == []
            synthesiser.speak("tea")
            (first,) = workers()
            synthesiser.speak("milk")
            assert workers() == [first]

    def test_what_was_said_lately_needs_no_process(self, workers: Callable[[], list[psutil.Process]]) -> None:
        with Synthesiser() as synthesiser:
            spoken = synthesiser.speak("tea", "en-us", 2)
            (worker,) = workers()
            worker.kill()
            worker.wait(5)
            assert synthesiser.speak(" tea ", "EN_US", 2) is spoken
            assert synthesiser.speak("tea", "en-us", 1).utterances == spoken.utterances[:1]

    def test_what_was_said_longest_ago_is_forgotten_first(self) -> None:
        with Synthesiser() as synthesiser:
            size = synthesiser.speak("tea", speakers=1).size
        with Synthesiser(cache_bytes=5 * size // 2) as synthesiser:
            tea, milk = (synthesiser.speak(text, speakers=1) for text in ("tea", "key"))
            assert synthesiser.speak("tea", speakers=1) is tea
            synthesiser.speak("pea", speakers=1)
            assert synthesiser.speak("tea", speakers=1) is tea
            again = synthesiser.speak("key", speakers=1)
            assert again == milk
            assert again is not milk

    def test_a_worker_killed_while_idle_fails_no_text(
        self, workers: Callable[[], list[psutil.Process]]
    ) -> None:
        with Synthesiser() as synthesiser:
            synthesiser.speak("tea")
            (worker,) = workers()
            worker.kill()
            worker.wait(5)
            synthesiser.speak("milk")
            assert [other.pid for other in workers()] != [worker.pid]

    def test_a_worker_killed_while_it_speaks_fails_one_text_only(
        self, workers: Callable[[], list[psutil.Process]]
    ) -> None:
        with Synthesiser() as synthesiser, ThreadPoolExecutor(1) as threads:
            synthesiser.speak("tea")
            (worker,) = workers()
            speaking = threads.submit(synthesiser.speak, LONG_TEXT, "en", MAX_SPEAKERS)
            fork = wait_for_fork(worker)
            worker.kill()
            with pytest.raises(InvalidInput, match=r"speaking '7+' failed \(SIGKILL\)"):
                speaking.result()
            fork.wait(5)
            assert synthesiser.speak("milk").synthesis.speakers == VOICES[:4]

    def test_a_fork_that_crashes_fails_one_text_and_costs_no_worker(
        self, workers: Callable[[], list[psutil.Process]]
    ) -> None:
        with Synthesiser() as synthesiser, ThreadPoolExecutor(1) as threads:
            synthesiser.speak("tea")
            (worker,) = workers()
            speaking = threads.submit(synthesiser.speak, LONG_TEXT, "en", MAX_SPEAKERS)
            wait_for_fork(worker).send_signal(signal.SIGKILL)
            with pytest.raises(InvalidInput, match=r"speaking '7+' failed \(SIGKILL\)"):
                speaking.result()
            synthesiser.speak("milk")
            assert workers() == [worker]

    def test_a_worker_that_hangs_is_stopped_in_time_and_replaced(
        self, workers: Callable[[], list[psutil.Process]]
    ) -> None:
        with Synthesiser(seconds=2) as synthesiser:
            synthesiser.speak("tea")
            (worker,) = workers()
            worker.suspend()
            with pytest.raises(InvalidInput, match="speaking 'milk' took more than 2 s, stopped"):
                synthesiser.speak("milk")
            assert not worker.is_running()
            synthesiser.speak("milk")

    def test_closing_ends_workers_and_what_they_say(
        self, workers: Callable[[], list[psutil.Process]]
    ) -> None:
        with ThreadPoolExecutor(1) as threads:
            with Synthesiser() as synthesiser:
                synthesiser.speak("tea")
                (worker,) = workers()
                speaking = threads.submit(synthesiser.speak, LONG_TEXT, "en", MAX_SPEAKERS)
                fork = wait_for_fork(worker)
            with pytest.raises(InvalidInput, match=r"speaking '7+' failed \(SIGKILL\)"):
                speaking.result()
        fork.wait(5)
        assert not worker.is_running()
        with pytest.raises(FailedPrecondition, match="the synthesiser is closed"):
            synthesiser.speak("milk")

    def test_a_worker_ends_with_its_service_however_that_ends(self) -> None:
        program = (
            "import sys, time\n"
            "from wordspot.services.searcher.synthesis import Synthesiser\n"
            "synthesiser = Synthesiser()\n"
            "synthesiser.speak('tea')\n"
            "print(flush=True)\n"
            "time.sleep(60)\n"
        )
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as service:
            assert service.stdout is not None
            service.stdout.readline()
            (worker,) = workers_of(service.pid)
            service.kill()
        worker.wait(5)


class TestTypedQuery:
    def test_the_answer_is_that_of_the_same_voices_in_files_and_says_who_they_are(
        self, up: SimpleNamespace, synthesiser: Synthesiser
    ) -> None:
        (result,) = asked(up, typed("tea", label="my tea", language="en-US", speakers=3))
        assert result.label == "my tea"
        assert result.synthesis.synthesiser.startswith("espeak-ng ")
        assert result.synthesis.language == "en-us"
        assert tuple(result.synthesis.speakers) == VOICES[:3]
        parts = []
        for number, utterance in enumerate(synthesiser.speak("tea", "en-us", 3).utterances):
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
            (
                {"text": ""},
                "INVALID_INPUT",
                "query 'x': the text must have between 1 and 100 characters, got 0",
            ),
            ({"text": "tea", "language": "xy"}, "INVALID_INPUT", "query 'x': espeak-ng has no language 'xy'"),
            ({"text": "tea", "speakers": 9}, "MALFORMED_REQUEST", "speakers must be between 0 and 8, got 9"),
            (
                {"text": "tea", "speakers": -1},
                "MALFORMED_REQUEST",
                "speakers must be between 0 and 8, got -1",
            ),
            (
                {"text": "tea", "examples": [search_pb2.Stretch()] * 13},
                "MALFORMED_REQUEST",
                f"must be at most {MAX_EXAMPLES} together, got 4 and 13",
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


class TestEmbedded:
    def test_closing_it_leaves_no_worker_behind(
        self,
        tmp_path: Path,
        offering: Callable[..., ModelRepository],
        band_encoder: type,
        recordings: dict[str, Path],
        workers: Callable[[], list[psutil.Process]],
    ) -> None:
        settings = EmbeddedSettings(
            segmenter=SegmenterSettings(detector="energy"),
            searcher=SearcherSettings(
                home=tmp_path / "home", roots=(tmp_path,), isolate=False, default_encoder="bands"
            ),
        )
        with (
            EmbeddedServer(settings, offering(band_encoder())) as embedded,
            Client(embedded.address) as client,
        ):
            client.index(recordings.values())
            assert workers() == []
            assert client.search(TypedQuery("tea", speakers=1), all_hits=True)
            (worker,) = workers()
        assert not worker.is_running()


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
            with pytest.raises(InvalidInput, match="a typed query must be one text"):
                client.search([TypedQuery("tea"), other])

    def test_a_batch_goes_on_after_a_text_that_cannot_be_said(self, client: Client) -> None:
        queries = [TypedQuery(text, speakers=1) for text in ("tea", "?", "x" * 10_000, "milk")]
        answers = list(client.search_batch([*queries, TypedQuery("tea", speakers=9)], all_hits=True))
        assert [bool(answer.problem) for answer in answers] == [False, True, True, False, True]
        assert "the text must have a letter or digit, got '?'" in answers[1].problem
        assert "the text must have between 1 and 100 characters, got 10000" in answers[2].problem
        assert "speakers must be between 1 and 8, got 9" in answers[4].problem
        assert answers[0].synthesis is not None

    @pytest.mark.usefixtures("without_espeak")
    def test_without_the_extra_a_batch_ends(self, client: Client) -> None:
        with pytest.raises(FailedPrecondition, match=r"pip install 'wordspot\[synthesis\]'"):
            list(client.search_batch([TypedQuery("tea"), TypedQuery("milk")]))


def test_as_many_speakers_may_be_asked_for_as_there_are() -> None:
    assert len(SPEAKERS) == MAX_SPEAKERS
    assert len(set(VOICES)) == len(VOICES) > DEFAULT_SPEAKERS == TypedQuery.speakers
    assert TypedQuery.language == synthesis.DEFAULT_LANGUAGE
