"""The way of a query through the page: recorded, heard, confirmed, searched again, exported."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wordspot import Client
from wordspot.indexer.sound.audio import write_wav

AUTHOR = "An De Smet"
RATE = 16_000
HEARD_AFTER_S = 0.4
PLACE = re.compile(r"(\d+):(\d+\.\d+)")


def seconds(text: str) -> float:
    match = PLACE.search(text)
    assert match is not None, text
    return 60 * int(match[1]) + float(match[2])


def record(seen: Any) -> None:
    """Says what the microphone hears, and takes it as the query."""
    seen.button("Record").click()
    seen.button(re.compile(r"Stop \((1\.[6-9]|2)")).click()
    seen.page.get_by_text(re.compile("Recorded 2")).first.wait_for()


def search(seen: Any) -> None:
    seen.button("Search", exact=True).click()
    seen.hits().first.wait_for()


@pytest.fixture
def archive(served: Any, recordings: dict[str, Path]) -> dict[str, str]:
    """Ids of recordings by the names of their files."""
    ids: dict[str, str] = served.index(*recordings.values())
    return ids


def shown_hits(seen: Any) -> list[tuple[str, float, float]]:
    """Recording, start and P(correct) of all hits, in the order of the page."""
    found = []
    for group in seen.page.locator("section.panel:has(li.hit)").all():
        name = group.locator("h2").inner_text()
        for row in group.locator("li.hit").all():
            found.append(
                (
                    name,
                    seconds(row.locator("a.place").inner_text()),
                    float(row.locator("strong").inner_text()),
                )
            )
    return found


def test_the_page_shows_the_hits_that_grpc_gives(
    served: Any, visit: Callable[..., Any], archive: dict[str, str], say: Any
) -> None:
    query = write_wav(say("tea", voice=9))
    with Client(served.address) as client:
        told = client.search(query, top=50, all_hits=True)
    seen = visit().open("a/default/search")
    seen.page.get_by_label("Choose a file").set_input_files(
        {"name": "tea.wav", "mimeType": "audio/wav", "buffer": query}
    )
    search(seen)
    expected = [(Path(hit.path).name, round(hit.start, 2), round(hit.p_correct, 2)) for hit in told]
    assert sorted(shown_hits(seen)) == sorted(expected)
    assert {name for name, _, _ in shown_hits(seen)[:2]} <= {"tea.wav", "both.wav"}


def test_a_recorded_word_is_found_and_its_hit_sounds_from_its_first_sample(
    visit: Callable[..., Any], archive: dict[str, str], recordings: dict[str, Path], samples_of: Any
) -> None:
    seen = visit().open("a/default/search")
    record(seen)
    search(seen)
    best = shown_hits(seen)[0]
    assert best[0] in ("tea.wav", "both.wav")
    with seen.page.expect_response(re.compile("/clip")) as answered:
        seen.hits().first.get_by_role("button", name="Play").click()
    served_samples, rate = samples_of(answered.value.body())
    seen.until("window.sounding && window.sounding.currentTime > 0.05")
    played = seen.page.evaluate("window.played.at(-1)")
    assert "/clip?" in played["source"]
    assert played["from"] == 0
    whole, _ = samples_of(recordings[Path(best[0]).stem].read_bytes())
    first = round(best[1] * rate)
    assert rate == RATE
    assert np.abs(served_samples[:4000].astype(int) - whole[first : first + 4000]).max() <= 1


def test_confirmed_hits_are_signed_join_the_query_and_are_exported(
    served: Any, visit: Callable[..., Any], archive: dict[str, str]
) -> None:
    seen = visit().open("a/default/search")
    record(seen)
    seen.page.get_by_label("Call it").fill("tea")
    search(seen)
    first, second = seen.hits().nth(0), seen.hits().nth(1)
    first.get_by_role("button", name="Confirm").click()
    seen.page.get_by_label("Name", exact=True).fill(AUTHOR)
    seen.button("Save").click()
    first.get_by_text("confirmed").wait_for()
    second.get_by_role("button", name="Reject").click()
    second.get_by_text("rejected").wait_for()
    stored = served.ask("GET", "/archives/default/verdicts")["verdicts"]
    assert sorted((one["query"], one["correct"], one["author"]) for one in stored) == [
        ("tea", False, AUTHOR),
        ("tea", True, AUTHOR),
    ]
    assert all(one["create_time"] for one in stored)
    with seen.page.expect_download() as saved:
        seen.button("Export 1 confirmed").click()
    rows = list(csv.DictReader(io.StringIO(saved.value.path().read_text("utf-8-sig"))))
    (confirmed,) = [one for one in stored if one["correct"]]
    assert len(rows) == 1
    assert any(
        abs(float(value) - confirmed["interval"]["start_seconds"]) < 0.01
        for value in rows[0].values()
        if _is_number(value)
    )
    seen.button("Search again with 1 confirmed").click()
    seen.page.get_by_role("list", name="Examples of the query").get_by_role("listitem").nth(1).wait_for()
    seen.hits().first.get_by_text("confirmed").wait_for()
    seen.open("a/default/verdicts")
    row = seen.page.get_by_role("row").filter(has_text="confirmed")
    assert AUTHOR in row.inner_text()


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", text) is not None


def test_a_marked_stretch_of_a_recording_is_searched_for(
    served: Any, visit: Callable[..., Any], archive: dict[str, str], say: Any
) -> None:
    start = len(say("some")) / RATE
    seen = visit().open(f"a/default/r/{archive['tea']}?t={start:.3f}&e={start + 0.6:.3f}")
    seen.page.locator(".detail[data-drawn]:not([data-drawn=''])").wait_for()
    assert seconds(seen.page.get_by_role("timer").inner_text()) == pytest.approx(start, abs=0.011)
    assert seconds(seen.page.get_by_label("Start", exact=True).input_value()) == pytest.approx(
        start, abs=0.011
    )
    seen.page.get_by_label("End", exact=True).fill(f"0:{start + 0.62:05.2f}")
    seen.page.get_by_label("End", exact=True).blur()
    seen.button("Search for it").click()
    seen.hits().first.wait_for()
    found = shown_hits(seen)
    assert found[0][0] == "tea.wav"
    assert "both.wav" in [name for name, _, _ in found]


def test_a_recording_opens_at_a_hit_with_all_its_hits_and_plays_from_there(
    visit: Callable[..., Any], archive: dict[str, str]
) -> None:
    seen = visit().open("a/default/search")
    record(seen)
    search(seen)
    name, start, _ = shown_hits(seen)[0]
    group = seen.page.locator("section.panel").filter(has=seen.page.get_by_role("link", name=name)).last
    count = group.locator("li.hit").count()
    group.locator("a.place").first.click()
    seen.page.locator(".detail[data-drawn]:not([data-drawn=''])").wait_for()
    assert seen.page.locator("tr[data-row]").count() == count
    regions = "document.querySelector('.detail > div').shadowRoot.querySelectorAll('[part~=region]').length"
    seen.until(f"{regions} >= 1")
    current = seen.page.locator("tr[aria-current=true]")
    assert seconds(current.inner_text()) == pytest.approx(start, abs=0.011)
    seen.button("Play", exact=True).click()
    seen.until("window.sounding && !window.sounding.paused && window.sounding.currentTime > 0")
    played = seen.page.evaluate("window.played.at(-1)")
    assert played["source"].endswith(f"/recordings/{archive[Path(name).stem]}/audio")
    assert played["from"] == pytest.approx(start, abs=0.011)


def test_two_tabs_agree_after_a_verdict_in_one(visit: Callable[..., Any], archive: dict[str, str]) -> None:
    first = visit().open("a/default/search")
    first.judge_as()
    second = visit(first.page.context).open("a/default/verdicts")
    second.page.get_by_text("No verdicts yet").wait_for()
    record(first)
    search(first)
    first.hits().first.get_by_role("button", name="Confirm").click()
    second.page.get_by_role("row").filter(has_text="confirmed").wait_for()


def test_keys_alone_review_all_hits(served: Any, visit: Callable[..., Any], archive: dict[str, str]) -> None:
    seen = visit().open("a/default/search")
    seen.judge_as()
    record(seen)
    search(seen)
    seen.page.locator("h1").click()
    press = seen.page.keyboard.press
    current = seen.page.locator("li.hit[aria-current=true]")
    press("n")
    assert current.get_attribute("data-key") == seen.hits().nth(0).get_attribute("data-key")
    press("y")
    current.get_by_text("confirmed").wait_for()
    press("n")
    press("x")
    current.get_by_text("rejected").wait_for()
    press("x")
    current.get_by_text("rejected").wait_for(state="detached")
    press("p")
    assert current.get_attribute("data-key") == seen.hits().nth(0).get_attribute("data-key")
    press("Space")
    seen.until("window.played.length === 1")
    press("e")
    seen.page.get_by_role("list", name="Examples of the query").get_by_role("listitem").nth(1).wait_for()
    press("?")
    seen.page.get_by_role("dialog").get_by_text("confirm the hit").wait_for()
    press("Escape")
    seen.page.get_by_role("dialog").wait_for(state="detached")
    press("/")
    assert seen.page.evaluate("document.activeElement.id") == "word"
    press("n")
    assert seen.page.locator("#word").input_value() == "n", "keys are letters where one types"
    press("Escape")
    seen.page.locator("h1").click()
    press("o")
    seen.page.locator(".detail").wait_for()
    assert len(served.ask("GET", "/archives/default/verdicts")["verdicts"]) == 1


def test_where_nothing_is_certain_the_page_says_why_and_what_to_try(
    visit: Callable[..., Any], served: Any, recordings: dict[str, Path], say: Any
) -> None:
    served.index(recordings["none"])
    seen = visit().open("a/default/search")
    query = write_wav(say("zebra", voice=3))
    seen.page.get_by_label("Choose a file").set_input_files(
        {"name": "zebra.wav", "mimeType": "audio/wav", "buffer": query}
    )
    seen.button("Search", exact=True).click()
    advice = seen.page.locator(".advice")
    advice.wait_for()
    assert "more examples of the same words" in advice.inner_text()
    if seen.hits().count():
        assert re.search(r"(P|score) -?\d+\.\d+; detected from", seen.hits().first.inner_text())


def test_a_bad_limit_is_explained_with_its_field(visit: Callable[..., Any], archive: dict[str, str]) -> None:
    seen = visit().open("a/default/search")
    record(seen)
    seen.page.get_by_text("More options").click()
    seen.page.get_by_label("Hits at most").fill("20000")
    seen.page.evaluate("document.querySelector('form').noValidate = true")
    seen.button("Search", exact=True).click()
    problem = seen.page.get_by_role("alert").first
    problem.wait_for()
    assert "10,000" in problem.inner_text() or "10000" in problem.inner_text()
    assert "top" in problem.inner_text()
