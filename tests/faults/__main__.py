"""python -m tests.faults: faults at random calls of real processes; ends with 1 if anything went wrong."""

from __future__ import annotations

import argparse
import sys

from tests.faults import campaign, rot
from tests.faults.interposer import library


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=2000, help="I/O faults that processes meet")
    parser.add_argument("--kills", type=int, default=500, help="processes killed at a call")
    parser.add_argument("--losses", type=int, default=300, help="times that the power is lost")
    parser.add_argument("--rot", type=int, default=rot.DAMAGES, help="damages of each kind of file")
    options = parser.parse_args()
    if library() is None:
        print("a C compiler is needed: cc, gcc or clang")
        return 2
    wrong = 0
    for kinds, count in ((campaign.FAULTS, options.faults), (campaign.KILLS, options.kills)):
        if count:
            wrong += campaign.run(kinds, options.seed, count, report).wrong
    if options.losses:
        wrong += campaign.lose_power(options.seed, options.losses, report)
    if options.rot:
        wrong += sum(len(row.wrong) for row in rot.run(options.rot, report).values())
    return int(wrong > 0)


def report(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
