"""The command: `python -m tests.fuzz`, and with `--replay FILE` what it found."""

from __future__ import annotations

import argparse
import faulthandler
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from tests.fuzz import calls, campaign, cases
from tests.fuzz.cases import Target
from tests.fuzz.commands import BatchTarget
from tests.fuzz.decoding import DecodeTarget
from tests.fuzz.process import ROOT
from tests.fuzz.server import Server

FOLDER = ROOT / "build" / "fuzz"


@contextmanager
def opened(names: Sequence[str] = (), models: Sequence[str] = ()) -> Iterator[list[Target]]:
    """The targets of these names, all where there are none, with a server if one of them needs it.

    models: those that calls are about; of each class one where there are none.
    """
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="wordspot-fuzz-")))
        decode = DecodeTarget(folder)
        closing.callback(decode.close)
        targets: list[Target] = [decode]
        if set(names) != {decode.name}:
            server = Server(folder, models)
            closing.callback(server.close)
            batch = BatchTarget(server)
            closing.callback(batch.close)
            targets += [*calls.targets(server), batch]
        yield [target for target in targets if not names or target.name in names]


def fuzz(options: argparse.Namespace) -> bool:
    with opened(options.target) as targets:
        say = partial(print, flush=True)
        run = campaign.Campaign(targets, options.seed, options.folder, say, say)
        with suppress(KeyboardInterrupt):
            run.run(options.inputs, options.seconds)
    print(campaign.table(run.figures))
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "figures.json").write_text(campaign.document(run.figures, options.seed))
    return run.passed


def replay(files: Sequence[Path]) -> bool:
    passed = True
    loaded = {file: cases.read(file) for file in files}
    with opened(sorted({case.target for case in loaded.values()})) as targets:
        by_name = {target.name: target for target in targets}
        for file, case in loaded.items():
            outcome = by_name[case.target].run(case)
            passed &= not outcome.verdict.is_failure
            cost = f"{outcome.seconds:.2f} s, {outcome.grown_bytes >> 20} MiB"
            print(f"{file}: {case.call}: {outcome.verdict}: {outcome.detail} ({cost})")
            print(outcome.evidence, end="")
    return passed


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "--inputs", type=int, default=20_000, help="at least so many, by all targets together"
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="at least so long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", action="append", default=[], help="only this; repeatable")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for failures and figures")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE", help="sends what a file holds")
    return parser.parse_args(arguments)


def main() -> None:
    faulthandler.register(signal.SIGUSR1)  # where a campaign stands
    options = parsed()
    sys.exit(0 if (replay(options.replay) if options.replay else fuzz(options)) else 1)


if __name__ == "__main__":
    main()
