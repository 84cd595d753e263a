"""`titles`: texts, the titles that people gave them, and those of the models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from wordspot.models import registry
from wordspot.models.datasets import fonts
from wordspot.models.datasets.text_pairs import pairs
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import page

MODELS = {"title-zh": "headlines", "title-en": "package-descriptions"}
SHOWN = 5  # held-out texts of each
COLUMNS = 120
MAX_COLUMNS = 480  # columns of a text that are shown
# Document, human, machine: Hung-yi Lee 2017, AI Alchemy; the documents go on.
LECTURE = (
    (
        "據印度報業托拉斯報道印度北方邦22日發生一起小公共汽車炸彈爆炸事件造成15人死亡3人受傷",
        "印度汽車炸彈爆炸造成15人死亡",
        "印度發生汽車爆炸事件",
    ),
    (
        "刑事局偵四隊今天破獲一個中日跨國竊車集團，根據調查國內今年七月開放重型機車上路後",
        "跨國竊車銷贓情形猖獗直得國內警方注意",
        "刑事局破獲中國車集",
    ),
)


@picture("titles")
def draw(home: Path) -> Figure:
    """Two documents of the lecture and held-out ones: how people and models entitle them."""
    font = FontProperties(fname=str(fonts.brush(home)))
    blocks: list[Sequence[tuple[str, str]]] = []
    rng = torch.Generator().manual_seed(0)
    for name, source in MODELS.items():
        if name not in registry.folders(home):
            continue
        model: Any = registry.load(name, home)[0]
        if model.config.language == "zh":
            for document, human, machine in LECTURE:
                generated = model.sample(1, rng, condition=document)[0]
                block = [
                    ("document", document),
                    ("human", human),
                    ("lecture's machine", machine),
                    (name, generated),
                ]
                blocks.append([(what, text.translate(fonts.SHAPES)) for what, text in block])
        test = pairs(source, home)["test"]
        for pair in test[:: len(test) // SHOWN][:SHOWN]:
            document = pair.given if len(pair.given) <= MAX_COLUMNS else pair.given[:MAX_COLUMNS] + " ..."
            generated = model.sample(1, rng, condition=pair.given)[0]
            block = [("document", document), ("human", pair.answer), (name, generated)]
            blocks.append([(what, text.translate(fonts.SHAPES)) for what, text in block])
    return page(blocks, COLUMNS, font)
