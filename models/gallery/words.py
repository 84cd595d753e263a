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
    there = [name for name in MODELS if name in registry.folders(home)]
    made = figure(10.5, 3.6 * len(there))
    grid = made.subplots(len(there), len(RELATIONS), squeeze=False)
    for line, name in zip(grid, there, strict=True):
        model = registry.load(name, home)[0]
        assert isinstance(model, WordVectors)
        for axes, (relation, text) in zip(line, RELATIONS.items(), strict=True):
            asked = text.split()
            both = [asked[n : n + 2] for n in range(0, len(asked), 2)]
            known = [
                word for pair in both if all(model.row(word) is not None for word in pair) for word in pair
            ]
            rows = model.unit[[model.rows[word] for word in known]].numpy()
            title = f"{name}: {relation}\nmean cosine between steps {parallel(rows):.2f}"
            pairs(axes, principal(rows), known, title)
    return made
