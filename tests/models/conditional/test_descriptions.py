from __future__ import annotations

import itertools
import random

import pytest
import torch

from wordspot.models.conditional.descriptions import FREE, LENGTHS, Descriptions
from wordspot.models.datasets.faces import EYES, HAIR, caption
from wordspot.models.errors import BadInput

FACES = Descriptions(tuple(HAIR), tuple(EYES))
HAIRS, IRISES = list(HAIR), list(EYES)


def described(hair: str = "", eyes: str = "", length: str = "") -> tuple[int, ...]:
    return (
        HAIRS.index(hair) if hair else FREE,
        IRISES.index(eyes) if eyes else FREE,
        ("short", "long").index(length) if length else FREE,
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("red hair, long hair", described("red", length="long")),  # the lecture's three
        ("black hair, blue eyes", described("black", "blue")),
        ("blue hair, green eyes", described("blue", "green")),
        ("a face with green eyes and long red hair", described("red", "green", "long")),
        ("Long, RED hair; eyes green.", described("red", "green", "long")),
        ("eyes green, hair red and long", described("red", "green", "long")),
        ("blue-eyed, blond haired person", described("blonde", "blue")),
        ("grey hair", described("gray")),
        ("long hair", described(length="long")),
        ("long", described(length="long")),
        ("", described()),
        ("a face", described()),
        ("red hair, red eyes", described("red", "red")),
        ("red hair and red hair", described("red")),
    ],
)
def test_what_is_said_is_read_in_any_order(text: str, wanted: tuple[int, ...]) -> None:
    assert FACES.read(text) == wanted


@pytest.mark.parametrize("order", list(itertools.permutations(["short hair", "pink hair", "gray eyes"])))
def test_the_order_of_clauses_makes_no_difference(order: tuple[str, ...]) -> None:
    assert FACES.read(", ".join(order)) == described("pink", "gray", "short")
    assert FACES.read(" and ".join(order)) == described("pink", "gray", "short")


def test_the_captions_of_the_data_are_read_as_their_labels() -> None:
    labels = torch.arange(2 * len(HAIR) * len(EYES))
    wanted = FACES.of_labels(labels)
    assert [FACES.read(caption(label)) for label in labels.tolist()] == [
        tuple(row) for row in wanted.tolist()
    ]


def test_a_face_is_read_in_whatever_words_it_is_said() -> None:
    """Every kind, its clauses in any order, joined as anybody might, parts of it left out."""
    rng = random.Random(0)
    for label in range(2 * len(HAIR) * len(EYES)):
        hair, eyes, length = FACES.of_labels(torch.tensor([label]))[0].tolist()
        colour, iris, size = HAIRS[hair], IRISES[eyes], LENGTHS[length]
        heads = {
            (hair, FREE, length): [
                [f"{colour} hair", f"{size} hair"],
                [f"{size} {colour} hair"],
                [f"{colour} and {size} hair"],
                [f"hair {colour} and {size}"],
                [f"{size}-haired", f"{colour} hair"],
            ],
            (hair, FREE, FREE): [[f"{colour} hair"], [f"hair {colour}"], [f"with the {colour} hair"]],
            (FREE, FREE, length): [[f"{size} hair"], [size]],
            (FREE, FREE, FREE): [[], ["a face"]],
        }
        for (said, _, long), ways in heads.items():
            for seen, irises in {
                eyes: [[f"{iris} eyes"], [f"eyes {iris}"], [f"{iris.upper()}-eyed"]],
                FREE: [[]],
            }.items():
                clauses = rng.choice(ways) + rng.choice(irises)
                rng.shuffle(clauses)
                text = rng.choice([", ", "; ", "\n", ",, "]).join(clauses)
                assert FACES.read(text) == (said, seen, long), text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a girl with red hair", r"'girl' not known in .*; of hair black, .*of eyes black, .* are allowed"),
        ("red hair and glasses, please", "'glasses', 'please' not known"),
        ("yellow hair", "yellow hair in 'yellow hair'; of hair black, blonde"),
        ("long eyes", "long eyes in 'long eyes'; of eyes"),
        ("red hair, blue hair", "colour of hair 'red' and 'blue' in"),
        ("long short hair", "length of hair 'long' and 'short' in"),
        ("blue", "'blue' of what, in 'blue'. hair or eyes is allowed"),
        ("hair", "nothing is said of the hair in 'hair'; of hair"),
        ("紅髮", "'紅髮' not known"),
    ],
)
def test_what_is_not_known_is_said(text: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        FACES.read(text)
