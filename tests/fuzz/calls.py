"""Targets that are calls of the server: each service, the tensors of inference, pictures for models."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import time
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from types import ModuleType
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError

import wordspot.oip
import wordspot.v1
from tests.fuzz import tensors, vocabulary
from tests.fuzz.cases import Case, Outcome, Verdict
from tests.fuzz.messages import Composer, message_class, strings
from tests.fuzz.server import ARCHIVE, Server
from tests.fuzz.vocabulary import Vocabulary
from wordspot.services import errors
from wordspot.v1 import archive_pb2, archive_pb2_grpc

MAX_CALL_SECONDS = 300.0
MAX_CPU_SECONDS = 30.0
MAX_CALL_BYTES = 1 << 30  # more than before
MAX_RESPONSES = 5_000
CALLS_PER_LISTING = 50
PACKAGES = (wordspot.v1, wordspot.oip)
LOGGED = ("Traceback", "unforeseen error")
# What gRPC itself answers to messages beyond the limit.
GRPC_OWN = {grpc.StatusCode.RESOURCE_EXHAUSTED}


def services(packages: Iterable[ModuleType] = PACKAGES) -> Iterator[ServiceDescriptor]:
    """All that the contracts define."""
    for package in packages:
        for module in pkgutil.iter_modules(package.__path__):
            if module.name.endswith("_pb2"):
                descriptor = importlib.import_module(f"{package.__name__}.{module.name}").DESCRIPTOR
                yield from descriptor.services_by_name.values()


class CallTarget:
    """Calls of some methods. Payloads: the messages of the stream, or the one."""

    def __init__(self, name: str, server: Server, methods: Sequence[MethodDescriptor]) -> None:
        self.name = name
        self._server = server
        self._methods = {_path(method): method for method in methods}
        self._calls = 0
        self._drawn: dict[str, list[str]] = {}

    def draw(self, rng: Random) -> Case:
        method = self._methods[rng.choice(sorted(self._methods))]
        return Case(self.name, _path(method), self._payloads(method, rng))

    def _payloads(self, method: MethodDescriptor, rng: Random) -> tuple[bytes, ...]:
        model = vocabulary.model_for(self._server.models, method.name, rng)
        words = Vocabulary(self._server, method.containing_service.name, model)
        return Composer(rng, words).payloads(method)

    def run(self, case: Case) -> Outcome:
        self._server.ensure()
        method = self._methods[case.call]
        messages = [self._living(payload, method.input_type) for payload in case.payloads]
        process = self._server.process
        process.begin_peak()
        begin, held = process.cpu_seconds(), process.resident_bytes()
        verdict, detail = self._call(method, messages)
        seconds, grown = process.cpu_seconds() - begin, process.peak_bytes() - held
        evidence = process.logged()
        if verdict.is_failure:
            verdict, detail = self._after_failure(verdict, detail)
        else:
            verdict, detail = _checked(verdict, detail, evidence, seconds, grown)
        return Outcome(verdict, detail, evidence if verdict.is_failure else "", seconds, grown)

    def resident_bytes(self) -> int:
        return self._server.process.resident_bytes()

    def descriptors(self) -> int:
        return self._server.process.descriptors()

    def _call(self, method: MethodDescriptor, messages: list[bytes]) -> tuple[Verdict, str]:
        kind = f"{_arity(method.client_streaming)}_{_arity(method.server_streaming)}"
        call = getattr(self._server.channel, kind)(_path(method), None, None)
        request = iter(messages) if method.client_streaming else messages[0]
        try:
            answer = call(request, timeout=MAX_CALL_SECONDS)
            several = answer if method.server_streaming else (answer,)
            count = 0
            for response in itertools.islice(several, MAX_RESPONSES):
                count += 1
                if place := self._server.place_in(response):
                    return Verdict.FOREIGN, f"an answer says where the server keeps something: {place}"
            return Verdict.ANSWERED, f"{count} responses"
        except grpc.RpcError as error:
            if place := self._server.place_in(_told(error)):
                return Verdict.FOREIGN, f"an error says where the server keeps something: {place}"
            return _judged(error)

    def _after_failure(self, verdict: Verdict, detail: str) -> tuple[Verdict, str]:
        """Tells a crash from other failures; goes on with a new server where the old does not answer."""
        time.sleep(0.2)  # a broken connection is seen before the end of the process
        if ended := self._server.process.ended:
            return Verdict.CRASHED, f"{ended}, {detail}"
        if verdict is Verdict.STALLED:
            self._server.restart()
        return verdict, detail

    def _living(self, payload: bytes, descriptor: Descriptor) -> bytes:
        """Returns the message with ids that the server has drawn in place of their placeholders."""
        message = message_class(descriptor)()
        try:
            message.ParseFromString(payload)
        except DecodeError:
            return payload
        for holder, field in strings(message):
            value: Any = getattr(holder, field.name)
            if field.is_repeated:
                value[:] = [self._put_in(text) for text in value]
            else:
                setattr(holder, field.name, self._put_in(value))
        return message.SerializeToString()

    def _put_in(self, text: str) -> str:
        if text.startswith(vocabulary.ROOT):
            return text.replace(vocabulary.ROOT, str(self._server.root), 1)
        if text not in (vocabulary.RECORDING, vocabulary.OPERATION):
            return text
        if self._calls % CALLS_PER_LISTING == 0:
            self._drawn = self._listed()
        self._calls += 1
        ids = self._drawn[text] or [text]
        return ids[self._calls % len(ids)]

    def _listed(self) -> dict[str, list[str]]:
        stub = archive_pb2_grpc.ArchiveServiceStub(self._server.channel)
        recordings = stub.ListRecordings(
            archive_pb2.ListRecordingsRequest(archive=ARCHIVE), timeout=MAX_CALL_SECONDS
        ).recordings
        operations = stub.ListOperations(
            archive_pb2.ListOperationsRequest(archive=ARCHIVE), timeout=MAX_CALL_SECONDS
        ).operations
        return {
            vocabulary.RECORDING: sorted(one.id for one in recordings)[:8],
            vocabulary.OPERATION: sorted(one.id for one in operations)[:8],
        }


class TensorTarget(CallTarget):
    """Inference by the Open Inference Protocol, with tensors that are nearly right."""

    def __init__(self, server: Server, methods: Sequence[MethodDescriptor]) -> None:
        takes = tensors.pb.ModelInferRequest.DESCRIPTOR
        super().__init__("tensors", server, [method for method in methods if method.input_type is takes])

    def _payloads(self, method: MethodDescriptor, rng: Random) -> tuple[bytes, ...]:
        count = rng.choice((1, 1, 2)) if method.client_streaming else 1
        requests = [tensors.draw(rng, self._server.models) for _ in range(count)]
        return tuple(request.SerializeToString() for request in requests)


def targets(server: Server) -> list[CallTarget]:
    """One for each service, one for tensors, one for pictures."""
    found = {service.full_name: list(service.methods) for service in services()}
    methods = [method for several in found.values() for method in several]
    with_pictures = [method for method in methods if _holds(method.input_type, "Pictures")]
    return [
        *(CallTarget(name.rpartition(".")[2], server, several) for name, several in found.items()),
        TensorTarget(server, methods),
        CallTarget("pictures", server, with_pictures),
    ]


def _judged(error: grpc.RpcError) -> tuple[Verdict, str]:
    call: Any = error  # every error of a call is a grpc.Call too
    code, reason = call.code(), errors.reason_of(call)
    detail = f"{code.name} {reason}: {call.details()}"[:300]
    if code is grpc.StatusCode.INTERNAL:
        return Verdict.INTERNAL, detail
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Verdict.STALLED, detail
    ours = any(rule.reason == reason and rule.code is code for rule in errors.RULES)
    return (Verdict.REFUSED if ours or code in GRPC_OWN else Verdict.FOREIGN), detail


def _told(error: grpc.RpcError) -> bytes:
    """All that a status says."""
    call: Any = error
    values = [value for _, value in call.trailing_metadata() or ()]
    texts = [value if isinstance(value, bytes) else str(value).encode() for value in values]
    return b"\n".join([(call.details() or "").encode(), *texts])


def _checked(
    verdict: Verdict, detail: str, evidence: str, seconds: float, grown_bytes: int
) -> tuple[Verdict, str]:
    """Returns a failure for a call that ended well and yet cost too much, or left a traceback in the log."""
    if any(mark in evidence for mark in LOGGED):
        return Verdict.FOREIGN, f"a traceback in the log, {detail}"
    if seconds > MAX_CPU_SECONDS:
        return Verdict.STALLED, f"{seconds:.0f} CPU seconds, {detail}"
    if grown_bytes > MAX_CALL_BYTES:
        return Verdict.FOREIGN, f"{grown_bytes >> 20} MiB held meanwhile, {detail}"
    return verdict, detail


def _holds(descriptor: Descriptor, name: str) -> bool:
    return any(
        field.message_type is not None
        and (field.message_type.name == name or _holds(field.message_type, name))
        for field in descriptor.fields
    )


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def _arity(streaming: bool) -> str:
    return "stream" if streaming else "unary"
