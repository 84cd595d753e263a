"""Word vectors: what they answer, and that skip-gram learns what is used alike."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from wordspot.models import artifact, evaluation, registry
from wordspot.models.artifact import TrainingRecord
from wordspot.models.datasets import analogies, texts
from wordspot.models.datasets.analogies import Analogy
from wordspot.models.encoders.word_vectors import SkipGramRecipe, WordVectors
from wordspot.models.errors import BadInput

GRID = ["rome", "italy", "berlin", "germany", "paris", "france", "hot", "hotter", "big", "bigger"]
GRID += ["king", "queen", "uncle", "aunt"]


def grid() -> WordVectors:
    """Each pair apart by the same step in its kind's direction, pairs in directions of their own."""
    kinds = [0, 0, 0, 1, 1, 2, 2]
    rows = []
    for pair, kind in enumerate(kinds):
        base = torch.zeros(10)
        base[pair] = 1.0
        step = torch.zeros(10)
        step[7 + kind] = 0.8
        rows += [base + step, base - step]
    return WordVectors.of(GRID, torch.stack(rows))


def test_the_lectures_analogies_hold_in_vectors_made_for_them() -> None:
    model = grid()
    assert model.analogy(("rome", "italy", "berlin"), 1)[0][0] == "germany"
    assert model.analogy(("hot", "hotter", "big"), 1)[0][0] == "bigger"
    assert model.analogy(("Queen", "King", "Aunt"), 1)[0][0] == "uncle"


def test_given_words_are_answers_only_where_they_may_be() -> None:
    model = grid()
    assert "berlin" not in [word for word, _ in model.analogy(("rome", "rome", "berlin"), 20)]
    assert model.analogy(("rome", "rome", "berlin"), 1, True)[0] == ("berlin", pytest.approx(1.0))


def test_what_is_not_known_is_said_with_what_may_be_meant() -> None:
    with pytest.raises(BadInput, match=r"'berlinn' is none of the 14 that are known; did you mean berlin\?"):
        grid().neighbours("berlinn", 3)
    with pytest.raises(BadInput, match=r"'xyzzy' is none of the 14 that are known$"):
        grid().analogy(("rome", "xyzzy", "berlin"), 3)


def test_saved_and_loaded_words_are_the_same(tmp_path: Path) -> None:
    model = WordVectors.of(["straße", "東京", "it's"], torch.eye(3))
    artifact.save(model, TrainingRecord("one"), tmp_path, half=True)
    again, read = registry.load(str(tmp_path))
    assert isinstance(again, WordVectors)
    assert again.words == ["straße", "東京", "it's"]
    assert read.modality == "word"
    assert set(read.capabilities) == {"encode", "neighbours", "analogy"}
    torch.testing.assert_close(again.encode(["東京", "kyoto"]), torch.tensor([[0.0, 1, 0], [0, 0, 0]]))


def test_judged_are_coverage_and_accuracy_with_and_without_the_given_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = [Analogy("king", "queen", "uncle", "aunt"), Analogy("king", "queen", "boy", "girl")]
    asked = {"family": family, "gram3-comparative": [Analogy("hot", "hotter", "big", "bigger")]}
    asked["capital-common-countries"] = [Analogy("rome", "italy", "paris", "france")] * 2
    monkeypatch.setattr(analogies, "sections", lambda home: asked)
    pairs = [("king", "queen", 8.0), ("king", "hot", 1.0), ("rome", "italy", 9.0)]
    monkeypatch.setattr(analogies, "likeness", lambda home: {"some": pairs, "others": [("a", "b", 1.0)]})
    card = artifact.save(grid(), TrainingRecord("one"), tmp_path)
    figures = {metric.name: metric for metric in evaluation.measure(grid(), card, tmp_path)}
    assert figures["family_coverage"].value == 0.5
    assert figures["family"].value == figures["capitals"].value == figures["lecture"].value == 1
    assert figures["family"].floor == 1 / len(GRID)
    assert figures["lecture_coverage"].value == 1
    assert "capitals_with_inputs" in figures
    assert figures["some_coverage"].value == 1
    assert "others" not in figures


PLACES, FOODS = ("town", "village", "city"), ("bread", "cheese", "soup")


def sentences(name: str, home: Path) -> Iterator[list[str]]:
    chance = random.Random(name)
    for _ in range(3_000):
        yield ["they", "walked", "slowly", "to", "the", chance.choice(PLACES), "beyond", "the", "hill"]
        yield ["she", "ate", "some", "warm", chance.choice(FOODS), "with", "a", "spoon"]


def test_skip_gram_puts_words_used_alike_together_and_the_seed_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gensim")
    monkeypatch.setattr(texts, "lines", sentences)
    monkeypatch.setattr(evaluation, "measure", lambda *given: [])
    recipe = SkipGramRecipe("some", "word_vectors", 12, "", "", ("wordnet",), sample=0.0, epochs=3)
    cards = [
        recipe.train(tmp_path, tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert cards[0].weights_sha256 == cards[1].weights_sha256 != cards[2].weights_sha256
    model = registry.load(str(tmp_path / "a"))[0]
    assert isinstance(model, WordVectors)
    for kind in (PLACES, FOODS):
        for word in kind:
            assert {near for near, _ in model.neighbours(word, 2)} <= {*kind}
    assert cards[0].data["words"] == 3_000 * 17
    with pytest.raises(BadInput, match="neither resume nor minutes"):
        recipe.train(tmp_path, tmp_path / "a", minutes=1.0)
