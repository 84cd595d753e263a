"""python -m tests.faults: faults at random calls of real processes; ends with 1 if anything went wrong."""

from __future__ import annotations

import argparse
import sys

from tests.faults import campaign
from tests.faults.interposer import library


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=2000, help="I/O faults that processes meet")
    parser.add_argument("--kills", type=int, default=500, help="processes killed at a call")
    options = parser.parse_args()
    if library() is None:
        print("a C compiler is needed: cc, gcc or clang")
        return 2
    wrong = 0
    for kinds, count in ((campaign.FAULTS, options.faults), (campaign.KILLS, options.kills)):
        if count:
            wrong += campaign.run(kinds, options.seed, count, lambda text: print(text, flush=True)).wrong
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
