"""`words`: pairs of words of one relation, their vectors by PCA."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from wordspot.models import registry
from wordspot.models.encoders.word_vectors import WordVectors
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import figure, pairs, parallel, principal

MODELS = ("words-en", "glove-50")
RELATIONS = {
    "capital and country": "rome italy berlin germany paris france london england madrid spain athens greece",
    "comparative": "hot hotter big bigger cold colder strong stronger fast faster small smaller tall taller",
    "woman and man": "queen king aunt uncle mother father sister brother daughter son girl boy wife husband",
}


@picture("words")
def draw(home: Path) -> Figure:
    """Pairs of words of one relation: the step from one to the other is much the same."""
    names = [name for name in MODELS if name in registry.folders(home)]
    canvas = figure(10.5, 3.6 * len(names))
    grid = canvas.subplots(len(names), len(RELATIONS), squeeze=False)
    for line, name in zip(grid, names, strict=True):
        model = registry.load(name, home)[0]
        assert isinstance(model, WordVectors)
        for axes, (relation, text) in zip(line, RELATIONS.items(), strict=True):
            words = text.split()
            word_pairs = [words[n : n + 2] for n in range(0, len(words), 2)]
            in_vocabulary = [
                word
                for pair in word_pairs
                if all(model.row(word) is not None for word in pair)
                for word in pair
            ]
            rows = model.unit[[model.rows[word] for word in in_vocabulary]].numpy()
            title = f"{name}: {relation}\nmean cosine between steps {parallel(rows):.2f}"
            pairs(axes, principal(rows), in_vocabulary, title)
    return canvas
