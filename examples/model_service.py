"""Asks the models that ship with wordspot: for drawings, for codes, for words.

python examples/model_service.py --out digits.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from wordspot import Models


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="where a sheet of drawn digits goes")
    parser.add_argument("--address", help="host:port of `wordspot serve`")
    options = parser.parse_args()

    with Models(options.address) as models:
        for model in models.list():
            print(f"{model.name:24} {', '.join(model.capabilities)}")

        digits = models.sample("digits-vae", 16, seed=7)  # uint8 (16, 28, 28); the same seed, the same digits
        codes = models.encode("digits-vae", digits)  # float32 (16, code)
        print(f"16 digits of {digits.shape[1:]} pixels, as {codes.shape[1]} numbers each")
        if options.out is not None:
            rows = [np.hstack(list(row)) for row in digits.reshape(4, 4, *digits.shape[1:])]
            Image.fromarray(np.vstack(rows)).save(options.out)

        (word, similarity), *_ = models.analogy("words-en", "man", "king", "woman")
        print(f"man is to king as woman is to {word} ({similarity:.2f})")


if __name__ == "__main__":
    main()
