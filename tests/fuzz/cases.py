"""A case, an input with what it is sent to; what came of it; and the file that replays it."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Protocol


@dataclass(frozen=True)
class Case:
    """call: a method with its package, a function of the decoder, or a command. payloads: a message each."""

    target: str
    call: str
    payloads: tuple[bytes, ...]
    origin: str = ""


class Verdict(StrEnum):
    ANSWERED = "answered"
    REFUSED = "refused"  # by an error of ours
    FOREIGN = "foreign"  # an exception or status that is not ours
    INTERNAL = "internal"
    CRASHED = "crashed"
    STALLED = "stalled"

    @property
    def is_failure(self) -> bool:
        return self not in (Verdict.ANSWERED, Verdict.REFUSED)


@dataclass(frozen=True)
class Outcome:
    """detail: the status or exception, short. evidence: what the process logged.

    seconds: CPU time, of a command the time by the clock. grown_bytes: the most memory held meanwhile beyond
    that held before.
    """

    verdict: Verdict
    detail: str = ""
    evidence: str = ""
    seconds: float = 0.0
    grown_bytes: int = 0

    @property
    def signature(self) -> tuple[str, str]:
        """Equal for failures that are likely one fault: the verdict, and the end of the traceback, if any."""
        frames = [line.strip() for line in self.evidence.splitlines() if line.startswith('  File "')]
        return self.verdict, frames[-1] if frames else self.detail[:60]


class Target(Protocol):
    """One of what is fuzzed. A run never raises because of the case."""

    name: str

    def draw(self, rng: Random) -> Case: ...

    def run(self, case: Case) -> Outcome: ...

    def resident_bytes(self) -> int:
        """Memory of the process under test."""
        ...

    def descriptors(self) -> int:
        """Its open files."""
        ...


Draw = Callable[[Random], bytes]


def case_at(target: Target, seed: int, number: int) -> Case:
    """Returns the input of that number."""
    origin = f"{seed}/{target.name}/{number}"
    case = target.draw(Random(origin))
    return Case(case.target, case.call, case.payloads, origin)


def write(path: Path, case: Case, outcome: Outcome) -> None:
    """Writes the case; what the process logged goes beside it, as that holds paths of this machine."""
    document = {
        "target": case.target,
        "call": case.call,
        "origin": case.origin,
        "outcome": f"{outcome.verdict}: {outcome.detail}",
        "payloads": [base64.b64encode(zlib.compress(payload, 9)).decode() for payload in case.payloads],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if outcome.evidence:
        path.with_suffix(".log").write_text(outcome.evidence, encoding="utf-8")


def read(path: Path) -> Case:
    document = json.loads(path.read_text(encoding="utf-8"))
    payloads = tuple(zlib.decompress(base64.b64decode(text)) for text in document["payloads"])
    return Case(document["target"], document["call"], payloads, document["origin"])
