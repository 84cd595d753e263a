"""The target `batch`: files of queries for `wordspot search --batch`, each in a process of its own."""

from __future__ import annotations

import json
import time
from pathlib import Path
from random import Random

from tests.fuzz import sounds
from tests.fuzz.cases import Case, Outcome, Verdict
from tests.fuzz.mutation import mutated
from tests.fuzz.process import ROOT, Process
from tests.fuzz.server import ARCHIVE, Server

MAX_CALL_SECONDS = 300.0  # the first waits for the imports
QUERY, SOUND = b"<query>", b"<sound>"
LINES = (
    b"<query>",
    b"<query>\t0.1\t0.6",
    b"say\ttea",
    b"say\t",
    b"say\ttea\t\t",
    b"<sound>",
    b"<sound>\t0\t0.4",
    b"<query>\tnan\tinf",
    b"<query>\t-1\t1e400",
    b"<query>\t0.5\t0.1",
    b"<query>\t0\t1\t2",
    b"\t\t",
    b"\t0\t1",
    b"",
    b"   ",
    b"/dev/zero",
    b"/proc/self/mem",
    b"missing.wav",
    b"\xef\xbb\xbf<query>",
    b"<query>\r",
    "<query>\u2028<query>".encode(),
    b"a\0b",
    b"\xff\xfe",
    b"\x1b[31m",
    b"a" * 5_000,
    b"say\t" + "天".encode() * 101,
    "<query>\t１\t２".encode(),
)
ENDS = (b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\0", b"\x0b", b"\x85")
ALLOWED_CODES = ("0", "2")


class BatchTarget:
    """Payloads: the batch file, and the sound that some of its lines name."""

    name = "batch"

    def __init__(self, server: Server) -> None:
        self._server = server
        self._folder = server.folder
        self._process: Process | None = None

    def draw(self, rng: Random) -> Case:
        lines = [rng.choice(LINES) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
        batch = b"".join(line + rng.choice(ENDS) for line in lines)
        if rng.random() < 0.3:
            batch = mutated(batch, rng)
        return Case(self.name, "search --batch", (batch, sounds.draw(rng)))

    def run(self, case: Case) -> Outcome:
        self._server.ensure()
        process = self._started()
        batch, sound = case.payloads
        places = {name: self._folder / name for name in ("sound", "batch", "output", "errors")}
        places["sound"].write_bytes(sound)
        query = str(self._server.queries[0]).encode()
        batch = batch.replace(QUERY, query).replace(SOUND, str(places["sound"]).encode())
        places["batch"].write_bytes(batch)
        begin = time.monotonic()
        code = self._ask(places)
        seconds = time.monotonic() - begin
        if code is None:
            process.kill()
            return Outcome(Verdict.STALLED, f"no end within {MAX_CALL_SECONDS:g} s", "", seconds)
        errors = places["errors"].read_text("utf-8", "replace")
        verdict, detail = judged(code, places["output"].read_bytes(), errors)
        return Outcome(verdict, detail, errors if verdict.is_failure else "", seconds)

    def resident_bytes(self) -> int:
        return self._started().resident_bytes()

    def descriptors(self) -> int:
        return self._started().descriptors()

    def close(self) -> None:
        if self._process is not None:
            self._process.close()

    def _started(self) -> Process:
        if self._process is None or self._process.ended:
            forks = ROOT / "tests" / "e2e" / "forks.py"
            self._process = Process([str(forks)], self._folder / "forks.log", {"PYTHONPATH": "src"})
        return self._process

    def _ask(self, places: dict[str, Path]) -> str | None:
        """Returns the exit code, minus the signal; None if the command did not end in time."""
        process = self._started()
        assert process.popen.stdin is not None
        options = ["--archive", ARCHIVE, "--address", self._server.address, "--json"]
        request = {
            "arguments": ["search", "--batch", str(places["batch"]), *options],
            "environment": {"WORDSPOT_HOME": str(self._folder / "unused")},
            "kill_after": None,
            "output": str(places["output"]),
            "errors": str(places["errors"]),
        }
        process.popen.stdin.write(json.dumps(request).encode() + b"\n")
        process.popen.stdin.flush()
        line = process.line(MAX_CALL_SECONDS)
        return None if line is None else line.strip()


def judged(code: str, output: bytes, errors: str) -> tuple[Verdict, str]:
    """code: of the exit. Standard output must hold JSON; lines of standard error begin with our name."""
    line = next(iter(errors.splitlines()), "")[:200]
    if code.startswith("-"):
        return Verdict.CRASHED, f"signal {code[1:]}"
    if code not in ALLOWED_CODES:
        return Verdict.FOREIGN, f"exit status {code}: {line}"
    try:
        for answer in output.decode().split("\n"):
            json.loads(answer or "{}")
    except ValueError as error:
        return Verdict.FOREIGN, f"standard output is no JSON: {error}"
    wrong = [text for text in errors.split("\n") if text and not text.startswith(("wordspot: ", "Usage: "))]
    if "Traceback" in errors or wrong:
        return Verdict.FOREIGN, f"standard error has {wrong[:1]}"
    return (Verdict.ANSWERED if code == "0" else Verdict.REFUSED), line
