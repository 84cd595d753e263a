from __future__ import annotations

import json
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from wordspot.models.datasets import fonts, poems
from wordspot.models.datasets.package import NpmPackage
from wordspot.models.datasets.poems import FORMS, PoemData, Poems
from wordspot.models.errors import BadInput

STORK = "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。"


def random_poems(count: int, seed: int, letters: int = 60) -> list[str]:
    """Of all forms in turn, of random characters."""
    rng = np.random.default_rng(seed)
    some = []
    for n in range(count):
        form = list(FORMS.values())[n % 4]
        some.append(form.printed("".join(chr(0x4E00 + c) for c in rng.integers(0, letters, form.places))))
    return some


def test_a_poem_is_read_as_it_was_printed() -> None:
    form, characters = poems.read(STORK)
    assert form == FORMS["5x4"]
    assert form.printed(characters) == STORK
    assert poems.read("\n".join(characters[n : n + 5] for n in range(0, 20, 5))) == (form, characters)


@pytest.mark.parametrize(
    "text", ["", "白日依山盡，黃河入海流。", "白日依山盡，黃河入海。欲窮千里目，更上一層樓。"]
)
def test_what_has_no_form_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="none of the forms 5x4, 7x4, 5x8, 7x8"):
        poems.read(text)


def test_an_unknown_form_is_told_which_there_are() -> None:
    assert poems.form("7x8").places == 56
    with pytest.raises(BadInput, match=r"no form '5x5'; there are 5x4, 7x4, 5x8, 7x8"):
        poems.form("5x5")


def test_near_copies_are_on_one_side_and_the_same_text_comes_once() -> None:
    some = random_poems(400, 0)
    changed = [text[:3] + chr(0x4E00 + 70 + n % 5) + text[4:] for n, text in enumerate(some)]
    splits = poems.convert([*some, *some[:50], *changed], most=100)
    side = {text: name for name, part in splits.items() for text in part.texts()}
    assert len(side) == sum(map(len, splits.values())) == 800
    assert all(side[one] == side[other] for one, other in zip(some, changed, strict=True))
    assert Counter(side.values())["train"] > 600
    assert {"train", "validation", "test"} == set(side.values())


def test_poems_that_share_a_line_of_eight_are_not_copies() -> None:
    some = [[text[n * 6 : n * 6 + 5] for n in range(8)] for text in random_poems(8, 1)[2::4]]
    some[1][4] = some[0][3]
    assert len(poems.near_copies([tuple(lines) for lines in some])) == 2
    some[1][5] = some[0][6]
    assert len(poems.near_copies([tuple(lines) for lines in some])) == 1


def test_the_vocabulary_is_of_the_training_poems_and_others_are_left_out() -> None:
    some = [
        text.replace(text[0], "罕") if n % 10 == 0 else text for n, text in enumerate(random_poems(400, 2))
    ]
    splits = poems.convert([*some, "太長的一行字，並不合律。"], most=60)
    whole = poems.convert(some, most=61)
    assert len(splits["train"].characters) == 60
    assert "罕" in whole["train"].characters
    for name, part in splits.items():
        assert part.characters == splits["train"].characters
        assert sorted(part.texts()) == sorted(text for text in whole[name].texts() if "罕" not in text)
    counts = Counter(letter for text in whole["train"].texts() for letter in poems.read(text)[1])
    ordered = [counts[letter] for letter in whole["train"].characters]
    assert ordered == sorted(ordered, reverse=True)


def test_poems_are_fetched_and_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = [{"paragraphs": ["白日依山盡，黃河入海流。", "欲窮千里目，更上一層樓。"]}]
    content += [{"paragraphs": [text]} for text in random_poems(200, 3)]
    package = pack(tmp_path / "packages", "package/dist/quantangshi/poet.tang.0.json", content)
    monkeypatch.setattr(poems, "POEMS", replace(poems.POEMS, packages=(package,)))
    train, test = (poems.poems(split, tmp_path, tmp_path / "packages") for split in ("train", "test"))
    (tmp_path / "packages" / package.file_name).unlink()
    again = poems.poems("train", tmp_path, tmp_path / "packages")
    assert train.texts() == again.texts()
    assert train.characters == again.characters == test.characters
    # What the vocabulary, which comes from the training poems, does not have is left out of the others.
    assert 190 < len(train) + len(test) + len(poems.poems("validation", tmp_path)) <= 201
    assert train.verses["7x8"].shape[1:] == (56,)


def pack(folder: Path, name: str, content: object) -> NpmPackage:
    import hashlib

    folder.mkdir()
    (folder / "content.json").write_text(json.dumps(content), encoding="utf-8")
    path = folder / "some-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder / "content.json", name)
    return NpmPackage("some", "1.0.0", hashlib.sha256(path.read_bytes()).hexdigest())


def test_runs_stay_within_lines() -> None:
    rows = np.arange(40).reshape(2, 20)
    assert len(poems.runs(rows, 5, 2)) == len(set(poems.runs(rows, 5, 2))) == 2 * 4 * 4
    twice = np.tile(np.arange(5), 4)[None]
    assert len(set(poems.runs(twice, 5, 5))) == 1
    assert len(set(poems.runs(twice, 5, 2))) == 4
    wide = np.arange(3_972, 4_000)[None]
    assert len(set(poems.runs(wide, 7, 5))) == 4 * 3


def test_the_divergence_is_that_of_jensen_and_shannon() -> None:
    rng = np.random.default_rng(4)
    one, other = rng.integers(0, 9, 500), rng.integers(3, 15, 500)
    shares = [np.bincount(some, minlength=15) for some in (one, other)]
    assert poems.divergence(one, other) == pytest.approx(jensenshannon(*shares, base=2) ** 2)
    assert poems.divergence(one, rng.permutation(one)) == pytest.approx(0)
    assert poems.divergence(one, one + 100) == pytest.approx(1)


def some_poems(counts: dict[str, int]) -> Poems:
    """Each poem is all of one character, another for each."""
    verses, first = {}, 0
    for name, form in FORMS.items():
        count = counts.get(name, 0)
        verses[name] = np.repeat(np.arange(first, first + count)[:, None], form.places, axis=1)
        first += count
    return Poems("".join(chr(0x4E00 + n) for n in range(first)), verses)


def test_an_epoch_shows_every_poem_once_in_batches_of_one_form() -> None:
    train = some_poems({"5x4": 8, "7x8": 12})
    data = PoemData(train, some_poems({"5x8": 3}), batch_size=4, seed=1)
    epochs = [[data.batch(step) for step in range(5 * epoch, 5 * epoch + 5)] for epoch in (0, 1)]
    orders = []
    for epoch in epochs:
        assert Counter(batch.form for batch in epoch) == {"5x4": 2, "7x8": 3}
        assert all(batch.characters.shape == (4, FORMS[batch.form].places) for batch in epoch)
        orders.append([row for batch in epoch for row in batch.characters[:, 0].tolist()])
        assert sorted(orders[-1]) == list(range(20))
    assert orders[0] != orders[1]
    again = PoemData(train, train, batch_size=4, seed=1)
    assert again.batch(7).characters.tolist() == data.batch(7).characters.tolist()
    assert [(batch.form, len(batch.characters)) for batch in data.validation()] == [("5x8", 3)]


def test_fewer_poems_than_a_batch_takes_are_refused() -> None:
    with pytest.raises(ValueError, match="no form has as many poems as a batch takes, 9"):
        PoemData(some_poems({"5x4": 8}), some_poems({}), batch_size=9, seed=1)


def test_characters_that_the_font_lacks_have_another_shape() -> None:
    assert "爲鬬".translate(fonts.SHAPES) == "為鬥"
