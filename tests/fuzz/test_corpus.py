"""Past failures, and a short campaign, against real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import cases
from tests.fuzz.__main__ import opened
from tests.fuzz.campaign import Campaign, table
from tests.fuzz.cases import Target

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.json"))
# Small ones, of every modality that messages have a form for.
MODELS = (
    "digits-vae",
    "digits-cnn",
    "ring-gan-unrolled-0",
    "moving-digits-alone",
    "poem-lm",
    "words-en",
    "naive",
)
INPUTS = 150
SEED = 20_170_601


@pytest.fixture(scope="module")
def targets() -> Iterator[dict[str, Target]]:
    with opened(models=MODELS) as every:
        yield {target.name: target for target in every}


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.stem)
def test_what_failed_once_is_answered_or_refused(file: Path, targets: dict[str, Target]) -> None:
    case = cases.read(file)
    outcome = targets[case.target].run(case)
    assert not outcome.verdict.is_failure, f"{outcome.detail}\n{outcome.evidence}"


def test_a_short_campaign_finds_nothing(targets: dict[str, Target], tmp_path: Path) -> None:
    lines: list[str] = []
    campaign = Campaign(list(targets.values()), SEED, tmp_path, lines.append)
    campaign.run(inputs=INPUTS, seconds=0)
    print(table(campaign.figures))
    assert all(figures.inputs for figures in campaign.figures.values())
    assert lines == []
