"""How many callers one server bears: `python -m tests.bench.load --callers 1 2 8 32 60 200`.

A server of its own process serves an archive of two hours (the development archives, English and Czech, one
after the other in one archive). Each caller is a connection that asks one spoken query after another for some
seconds; a caller that is turned away waits as long as the answer says, with jitter, and asks again. Printed
for each number of callers: answers a second, the server's processor time an answer, median and 99th
percentile of the seconds that an answered call took and that a caller waited in all, calls turned away by
status, the child processes that were seen, and resident memory.

`--idle 1000` holds so many connections open that send nothing, `--silent 64` so many streams that begin a
search and send nothing more. Callers and server share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import numpy as np
import psutil
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from rich.console import Console
from rich.table import Table

from tests.bench import material as development
from wordspot import Client
from wordspot.services.runtime import MAX_CHUNK_BYTES
from wordspot.v1 import search_pb2, search_pb2_grpc

OUTPUT = Path("build/bench/load.json")
ARCHIVE = "load"
CALLERS = (1, 2, 8, 32, 60, 200)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"  # and empty settings
POLL_S = 0.02
WARM_UP_S = 3.0


@dataclass
class Tally:
    """What callers saw. served: seconds of each answered call. waited: with the calls before it that were
    turned away. refused: calls by status."""

    served: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


def requests_of(data: bytes) -> list[search_pb2.SearchRequest]:
    options = search_pb2.SearchOptions(archive=ARCHIVE, include_undetected=True)
    pieces = [data[at : at + MAX_CHUNK_BYTES] for at in range(0, len(data), MAX_CHUNK_BYTES)]
    return [
        search_pb2.SearchRequest(options=options),
        search_pb2.SearchRequest(query=search_pb2.QueryHeader()),
        *(search_pb2.SearchRequest(chunk=piece) for piece in pieces),
    ]


def retry_delay_s(error: grpc.aio.AioRpcError) -> float | None:
    """What the status says; None if it says nothing."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # the stubs know calls only
    for detail in status.details if status is not None else ():
        info = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            return float(info.retry_delay.ToTimedelta().total_seconds())
    return None


async def caller(address: str, queries: Sequence[bytes], number: int, end: float, tally: Tally) -> None:
    rng = random.Random(number)
    options = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        stub = search_pb2_grpc.SearchServiceStub(channel)
        turn = number
        while time.perf_counter() < end:
            begin = time.perf_counter()
            messages = requests_of(queries[turn % len(queries)])
            turn += 1
            while True:
                attempt = time.perf_counter()
                try:
                    await asyncio.wait_for(_answer(stub, messages), timeout=120)
                except grpc.aio.AioRpcError as error:
                    tally.refused[error.code().name] += 1
                    delay = retry_delay_s(error)
                    if delay is None:
                        tally.refused[f"{error.code().name} without a delay"] += 1
                    if time.perf_counter() > end:
                        return
                    await asyncio.sleep((delay or 0.2) * rng.uniform(0.5, 1.5))
                    continue
                if attempt < end:
                    tally.served.append(time.perf_counter() - attempt)
                    tally.waited.append(time.perf_counter() - begin)
                break


async def _answer(stub: Any, messages: Sequence[search_pb2.SearchRequest]) -> None:
    async for _ in stub.Search(iter(messages), timeout=60):
        pass


async def ask(address: str, queries: Sequence[bytes], callers: int, seconds: float) -> tuple[Tally, float]:
    tally = Tally()
    begin = time.perf_counter()
    end = begin + seconds
    await asyncio.gather(*(caller(address, queries, n, end, tally) for n in range(callers)))
    return tally, time.perf_counter() - begin


@contextmanager
def server(home: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The address of `wordspot serve`, and its process."""
    command = [str(Path(sys.executable).with_name("wordspot")), "serve", "all", "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "WORDSPOT_HOME": str(home)}
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1], psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


class Watch:
    """Child processes of a server and its memory, looked at now and then until it is left."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._begin_s = processor_seconds(process)
        self.children: set[int] = set()
        self.megabytes = 0.0
        self.processor_s = 0.0

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.processor_s = processor_seconds(self._process) - self._begin_s

    def _look(self) -> None:
        while not self._done.wait(POLL_S):
            children = self._process.children(recursive=True)
            self.children |= {child.pid for child in children}
            self.megabytes = max(self.megabytes, sum(map(resident, [self._process, *children])))


def processor_seconds(process: psutil.Process) -> float:
    """Processor seconds of a process and its living children so far."""
    processes = [process, *process.children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in processes)


def resident(process: psutil.Process) -> float:
    """Megabytes; 0 for a process that has ended."""
    try:
        return float(process.memory_info().rss) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


@contextmanager
def idle_connections(address: str, count: int) -> Iterator[None]:
    host, _, port = address.rpartition(":")
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            connection.sendall(PREFACE)
        yield


@contextmanager
def silent_streams(address: str, count: int) -> Iterator[None]:
    """Searches that begin and send nothing more; one that the server ends is begun again."""
    stopped = threading.Event()

    def hold(stub: Any) -> None:
        def messages() -> Iterator[search_pb2.SearchRequest]:
            yield search_pb2.SearchRequest(options=search_pb2.SearchOptions(archive=ARCHIVE))
            stopped.wait()

        while not stopped.is_set():
            try:
                list(stub.Search(messages()))
            except grpc.RpcError:
                stopped.wait(0.5)

    with ExitStack() as stack:
        for _ in range(count):
            options = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))
            channel = stack.enter_context(grpc.insecure_channel(address, options=options))
            threading.Thread(
                target=hold, args=(search_pb2_grpc.SearchServiceStub(channel),), daemon=True
            ).start()
        yield
        stopped.set()


def prepare(home: Path, encoder: str) -> list[bytes]:
    """Indexes what is not yet there; the queries."""
    data = Path(os.environ.get("WORDSPOT_HOME", "~/.wordspot")).expanduser()
    materials = [development.prepare(data), development.prepare_czech(data)]
    os.environ["WORDSPOT_HOME"] = str(home)
    with Client() as client:
        for material in materials:
            client.index([r.path for r in material.recordings], archive=ARCHIVE, encoder=encoder)
    return [query.cut.read_bytes() for material in materials for query in material.main]


def row(callers: int, tally: Tally, seconds: float, watch: Watch) -> dict[str, Any]:
    served, waited = tally.served or [float("nan")], tally.waited or [float("nan")]
    return {
        "callers": callers,
        "answers_per_s": len(tally.served) / seconds,
        "processor_ms": 1000 * watch.processor_s / max(len(tally.served), 1),
        "served_p50_s": median(served),
        "served_p99_s": float(np.percentile(served, 99)),
        "waited_p50_s": median(waited),
        "waited_p99_s": float(np.percentile(waited, 99)),
        "refused": dict(tally.refused),
        "children": len(watch.children),
        "megabytes": watch.megabytes,
    }


def show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    table = Table(*rows[0])
    for entry in rows:
        table.add_row(*(f"{v:.3g}" if isinstance(v, float) else str(v) for v in entry.values()))
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--callers", type=int, nargs="+", default=CALLERS)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--encoder", default="auto")
    parser.add_argument("--idle", type=int, default=0)
    parser.add_argument("--silent", type=int, default=0)
    arguments = parser.parse_args()
    console = Console(width=190)
    home = (Path("build/bench/load") / arguments.encoder).resolve()
    queries = prepare(home, arguments.encoder)
    rows = []
    with server(home) as (address, process), ExitStack() as beside:
        asyncio.run(ask(address, queries, 2, WARM_UP_S))
        if arguments.idle:
            beside.enter_context(idle_connections(address, arguments.idle))
        if arguments.silent:
            beside.enter_context(silent_streams(address, arguments.silent))
        for callers in arguments.callers:
            with Watch(process) as watch:
                tally, seconds = asyncio.run(ask(address, queries, callers, arguments.seconds))
            rows.append(row(callers, tally, seconds, watch))
            show(rows[-1:], console)
    show(rows, console)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
