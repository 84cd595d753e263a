from __future__ import annotations

from matplotlib.font_manager import FontProperties

from wordspot.models.datasets.poems import FORMS
from wordspot.models.gallery import panels, poems


def test_a_poem_is_written_from_the_top_right() -> None:
    letters = "白日依山盡黃河入海流欲窮千里目更上一層樓"
    axes = panels.figure(3, 3).subplots()
    poems.scroll(axes, [FORMS["5x4"].printed(letters)] * 2, FORMS["5x4"], FontProperties())
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert len(written) == 40
    columns = sorted({across for across, _ in written}, reverse=True)
    rows = sorted({down for _, down in written}, reverse=True)
    for first in (0, 4):
        read = "".join(written[across, down] for across in columns[first : first + 4] for down in rows)
        assert read == letters
    assert columns[3] - columns[4] == 2  # a free column between two poems
    assert axes.get_xlim()[0] < columns[-1] < columns[0] < axes.get_xlim()[1]
