"""How well the model service serves: `make bench-serving`, or in parts:

    python -m tests.bench.serving throughput overhead swap memory

    throughput   answers a second to 16 callers, an LSTM over the rows of a picture: wordspot with batches,
                 without, and LitServe with batches, in turn, the median of several rounds
    overhead     milliseconds that a lone caller waits longer than for the model itself
    swap         calls that fail while the model is changed again and again
    memory       resident megabytes more after 100 times loading and unloading a model of 10 MB

LitServe is installed below build/bench, away from everything else. Servers, callers and models share the
machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import torch
from rich.console import Console

from wordspot.models import artifact, registry
from wordspot.models.artifact import TrainingRecord
from wordspot.models.encoders.deep_autoencoder import DeepAutoencoder, DeepAutoencoderConfig
from wordspot.models.encoders.row_rnn import RowRnn, RowRnnConfig
from wordspot.oip import inference_pb2 as pb
from wordspot.oip import inference_pb2_grpc

PARTS = ("throughput", "overhead", "swap", "memory")
OUTPUT = Path("build/bench/serving.json")
LITSERVE = "litserve==0.2.19"
FOLDER = Path("build/bench/litserve")
CALLERS = 16
SECONDS = 6.0
ROUNDS = 3
SWAP_CALLS = 10_000
CYCLES = 100
HIDDEN = 512
MODEL = "reader"

Ask = Callable[[], Awaitable[None]]
Rows = list[dict[str, Any]]


def put(home: Path, name: str, model: Any) -> Path:
    folder = home / "models" / name
    artifact.save(model, TrainingRecord(name), folder)
    return folder


def reader(home: Path, seed: int = 0) -> Path:
    """An LSTM of HIDDEN cells over rows; what it learned does not matter here."""
    torch.manual_seed(seed)
    return put(home, MODEL, RowRnn(RowRnnConfig(hidden=HIDDEN)))


@contextmanager
def modelhost(home: Path, **environment: str) -> Iterator[str]:
    """The address of a server of its own process."""
    command = [str(Path(sys.executable).with_name("wordspot")), "serve", "modelhost", "--port", "0"]
    settings = {"WORDSPOT_HOME": str(home), **{f"WORDSPOT_{k.upper()}": v for k, v in environment.items()}}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **settings})
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()


@contextmanager
def litserve(folder: Path) -> Iterator[str]:
    """Its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    paths = os.pathsep.join([str(FOLDER.resolve()), os.environ.get("PYTHONPATH", "")])
    command = [
        sys.executable,
        str(Path(__file__).with_name("litserve_app.py")),
        str(folder),
        str(port),
        str(CALLERS),
    ]
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{port}/predict"
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.terminate()
        process.terminate()
        process.wait()


def request(values: np.ndarray) -> pb.ModelInferRequest:
    tensor = pb.ModelInferRequest.InferInputTensor(name="pictures", datatype="FP32", shape=values.shape)
    return pb.ModelInferRequest(
        model_name=f"{MODEL}:encode", inputs=[tensor], raw_input_contents=[values.tobytes()]
    )


async def answered(ask: Ask, seconds: float) -> float:
    """Answers a second to CALLERS, each of which asks again once answered."""
    end = time.perf_counter() + seconds
    count = 0

    async def caller() -> None:
        nonlocal count
        while time.perf_counter() < end:
            await ask()
            count += 1

    begun = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return count / (time.perf_counter() - begun)


async def from_wordspot(address: str, values: np.ndarray, seconds: float) -> float:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        asked = request(values)

        async def ask() -> None:
            await stub.ModelInfer(asked)

        await answered(ask, 1.0)
        return await answered(ask, seconds)


async def from_litserve(url: str, values: np.ndarray, seconds: float) -> float:
    import aiohttp

    body = {"pictures": base64.b64encode(values.tobytes()).decode()}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CALLERS)) as session:

        async def ask() -> None:
            async with session.post(url, json=body) as response:
                response.raise_for_status()
                await response.json()

        for _ in range(600):
            try:
                await ask()
                break
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
        await answered(ask, 1.0)
        return await answered(ask, seconds)


def throughput(home: Path) -> Rows:
    if not FOLDER.is_dir():
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--target",
            str(FOLDER),
            LITSERVE,
            "aiohttp",
        ]
        subprocess.run(pip, check=True)
    sys.path.append(str(FOLDER.resolve()))
    folder = reader(home)
    values = np.random.default_rng(0).random((1, 1, 28, 28), np.float32)
    found: dict[str, list[float]] = {"batched": [], "unbatched": [], "LitServe": []}
    for _ in range(ROUNDS):
        with modelhost(home) as address:
            found["batched"].append(asyncio.run(from_wordspot(address, values, SECONDS)))
        with modelhost(home, batch_examples="1") as address:
            found["unbatched"].append(asyncio.run(from_wordspot(address, values, SECONDS)))
        with litserve(folder) as url:
            found["LitServe"].append(asyncio.run(from_litserve(url, values, SECONDS)))
    median = {name: statistics.median(rates) for name, rates in found.items()}
    rows = [
        {"figure": f"answers a second, {CALLERS} callers, {name}", "value": v} for name, v in median.items()
    ]
    for other in ("unbatched", "LitServe"):
        ratios = [a / b for a, b in zip(found["batched"], found[other], strict=True)]
        rows.append({"figure": f"batched, times {other}", "value": statistics.median(ratios)})
    return rows


def overhead(home: Path) -> Rows:
    model: Any = registry.load(str(reader(home)))[0]
    values = np.random.default_rng(0).random((1, 1, 28, 28), np.float32)
    asked, given = request(values), torch.from_numpy(values)
    with modelhost(home) as address, grpc.insecure_channel(address) as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        torch.set_num_threads(1)
        spent: dict[str, list[float]] = {"service": [], "direct": []}
        for _ in range(300):
            begun = time.perf_counter()
            stub.ModelInfer(asked)
            middle = time.perf_counter()
            with torch.inference_mode():
                model.encode(given)
            spent["service"].append(middle - begun)
            spent["direct"].append(time.perf_counter() - middle)
    median = {name: 1e3 * statistics.median(some[50:]) for name, some in spent.items()}
    return [
        *({"figure": f"ms a call, {name}", "value": value} for name, value in median.items()),
        {"figure": "ms more than a direct call", "value": median["service"] - median["direct"]},
    ]


def swap(home: Path) -> Rows:
    """Calls go on while another artifact takes the name's place and is loaded."""
    reader(home)
    values = np.random.default_rng(0).random((1, 1, 28, 28), np.float32)
    changes = 0

    async def run(address: str) -> tuple[int, int]:
        nonlocal changes
        failed = done = 0
        async with grpc.aio.insecure_channel(address) as channel:
            stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
            asked = request(values)

            async def caller() -> None:
                nonlocal failed, done
                while done < SWAP_CALLS:
                    done += 1
                    try:
                        await stub.ModelInfer(asked)
                    except grpc.RpcError:
                        failed += 1

            async def changer() -> None:
                nonlocal changes
                while done < SWAP_CALLS:
                    changes += 1
                    await asyncio.to_thread(reader, home, changes)
                    await stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name=MODEL))
                    await asyncio.sleep(0.5)

            await asyncio.gather(changer(), *(caller() for _ in range(CALLERS)))
        return done, failed

    with modelhost(home) as address:
        done, failed = asyncio.run(run(address))
    return [
        {"figure": f"failed of {done:,} calls, the model changed {changes} times", "value": failed},
    ]


def memory(home: Path) -> Rows:
    torch.manual_seed(0)
    put(home, "large", DeepAutoencoder(DeepAutoencoderConfig(hidden=(1_500,), code=30)))
    with modelhost(home) as address, grpc.insecure_channel(address) as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        (server,) = [
            one for one in psutil.Process().children(recursive=True) if "modelhost" in " ".join(one.cmdline())
        ]

        def cycle() -> float:
            stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="large"))
            stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="large"))
            return server.memory_info().rss / 1e6

        start = cycle()
        after = [cycle() for _ in range(CYCLES)]
    return [
        {"figure": "MB resident after the first cycle", "value": start},
        {"figure": f"MB more after {CYCLES} cycles", "value": after[-1] - start},
        {"figure": "MB more at most", "value": max(after) - start},
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    chosen = parser.parse_args().parts or PARTS
    if unknown := sorted({*chosen} - {*PARTS}):
        parser.error(f"no part {unknown[0]!r}; {', '.join(PARTS)} are allowed")
    console = Console(width=100)
    rows: Rows = []
    for name, part in (
        ("throughput", throughput),
        ("overhead", overhead),
        ("swap", swap),
        ("memory", memory),
    ):
        if name in chosen:
            with tempfile.TemporaryDirectory() as folder:
                made = part(Path(folder))
            for row in made:
                console.print(f"{row['figure']:<70} {row['value']:.4g}", highlight=False)
            rows += made
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps({"rows": rows}, indent=1))


if __name__ == "__main__":
    main()
