"""The target `decode`: sound files of every kind, in a child process as the product decodes them."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from tests.fuzz import sounds
from tests.fuzz.cases import Case, Outcome, Verdict
from tests.fuzz.process import Process

MAX_CALL_SECONDS = 300.0
MAX_CPU_SECONDS = 20.0
START_SECONDS = 120.0
CALLS = ("probe", "read_blocks", "read_blocks", "decode_bytes")
TIMES = (0.0, 0.1, 0.25, 0.5, 0.6, 1.0, 59.0, -1.0, 1e9, 1e308, float("nan"), float("inf"))


class DecodeTarget:
    """Payloads: the file, and JSON of start and stop."""

    name = "decode"

    def __init__(self, folder: Path) -> None:
        self._file, self._log = folder / "sound", folder / "decoder.log"
        self._process: Process | None = None

    def draw(self, rng: Random) -> Case:
        call = rng.choice(CALLS)
        start, stop = 0.0, None
        if call == "read_blocks" and rng.random() < 0.5:
            start, stop = rng.choice(TIMES), rng.choice((None, *TIMES))
        return Case(self.name, call, (sounds.draw(rng), json.dumps([start, stop]).encode()))

    def run(self, case: Case) -> Outcome:
        process = self._started()
        file, stretch = case.payloads
        self._file.write_bytes(file)
        start, stop = json.loads(stretch)
        process.begin_peak()
        begin, held = process.cpu_seconds(), process.resident_bytes()
        reply = self._ask({"call": case.call, "path": str(self._file), "start": start, "stop": stop})
        seconds, grown = process.cpu_seconds() - begin, process.peak_bytes() - held
        if reply is None:
            self.close()
            return Outcome(Verdict.STALLED, f"no answer within {MAX_CALL_SECONDS:g} s", "", seconds, grown)
        reply = reply or {"verdict": Verdict.CRASHED, "detail": self._end(process)}
        verdict, detail = Verdict(reply["verdict"]), reply["detail"]
        if not verdict.is_failure and seconds > MAX_CPU_SECONDS:
            verdict, detail = Verdict.STALLED, f"{seconds:.0f} CPU seconds, {detail}"
        return Outcome(verdict, detail, reply.get("evidence", "") + process.logged(), seconds, grown)

    def resident_bytes(self) -> int:
        return self._started().resident_bytes()

    def descriptors(self) -> int:
        return self._started().descriptors()

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def _started(self) -> Process:
        if self._process is None or self._process.ended:
            self.close()
            self._process = Process(["-m", "tests.fuzz.decoder_child"], self._log, {})
            assert self._process.line(START_SECONDS) == "ready\n", self._process.logged()
        return self._process

    def _ask(self, request: dict[str, object]) -> dict[str, str] | None:
        """Returns the answer; an empty one when the child has died, None when none came in time."""
        assert self._process is not None
        assert self._process.popen.stdin is not None
        self._process.popen.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.popen.stdin.flush()
        line = self._process.line(MAX_CALL_SECONDS)
        return None if line is None else json.loads(line) if line else {}

    def _end(self, process: Process) -> str:
        process.popen.wait(START_SECONDS)
        return process.ended
