"""Takes the pictures of the page for the documentation: the sample archive, searched and judged in Chromium.

python -m docs.generate.page            writes docs/pictures/page-*.png
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from wordspot.services.embedded import EmbeddedServer, EmbeddedSettings
from wordspot.services.gateway.app import Gateway
from wordspot.services.gateway.peers import Addresses
from wordspot.services.settings import GatewaySettings

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
SAMPLE = ROOT / "deploy" / "demo" / "sample"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
WIDTH, HEIGHT = 1200, 800
TIMEOUT_MS = 120_000
KEYWORDS = ("conference", "extension", "message", "password", "volume")


def main() -> int:
    """Writes the pictures."""
    with ExitStack() as closing:
        home = Path(closing.enter_context(tempfile.TemporaryDirectory()))
        services = closing.enter_context(EmbeddedServer(EmbeddedSettings.of_home(home, {})))
        addresses = Addresses(services.address, services.address)
        gateway = closing.enter_context(Gateway(addresses, GatewaySettings(http_port=0)))
        driver = closing.enter_context(sync_playwright())
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, locale="en-GB")
        page.set_default_timeout(TIMEOUT_MS)
        _fill(page, gateway.url)
        _take(page, gateway.url)
        browser.close()
    return 0


def _fill(page: Any, url: str) -> None:
    """Uploads the sample's recordings into an archive."""
    page.goto(url)
    page.evaluate("localStorage.setItem('wordspot.author', 'An De Smet')")
    page.reload()
    page.get_by_label("Name of a new archive").fill("prompts")
    page.get_by_role("button", name="Create archive").click()
    page.get_by_label("Tags for what is added").fill("speaker=Allison, date=2010")
    files = sorted(str(file) for file in (SAMPLE / "recordings").iterdir())
    page.get_by_label("Choose files").last.set_input_files(files)
    page.get_by_text("recordings are searchable now").wait_for()


def _take(page: Any, url: str) -> None:
    page.goto(f"{url}/#/a/prompts/search")
    page.get_by_label("Choose a file").set_input_files(str(SAMPLE / "queries" / "message.flac"))
    page.get_by_label("Call it").fill("message")
    page.get_by_role("button", name="Search", exact=True).click()
    hits = page.locator("li.hit:not(.uncertain)")
    hits.first.wait_for()
    for row, verdict in enumerate(("Confirm", "Confirm", "Reject")):
        hits.nth(row).get_by_role("button", name=verdict).click()
        hits.nth(row).get_by_text("An De Smet").wait_for()
    page.locator(".notice").wait_for(state="detached")
    page.locator("h1").click()
    page.mouse.move(0, 0)
    for _ in range(3):
        page.keyboard.press("n")
    page.evaluate("window.scrollTo(0, 0)")
    _shoot(page, "search")
    hits.nth(1).locator("a.place").click()
    page.locator(".detail[data-drawn]:not([data-drawn=''])").wait_for()
    _shoot(page, "recording")
    page.goto(f"{url}/#/a/prompts/keywords")
    files = [str(SAMPLE / "queries" / f"{word}.flac") for word in KEYWORDS]
    page.get_by_label("Add sound files").set_input_files(files)
    page.get_by_role("button", name="Search for all").click()
    page.get_by_role("rowheader", name=KEYWORDS[-1]).wait_for()
    page.get_by_role("button", name="Total").click()
    _shoot(page, "keywords")


def _shoot(page: Any, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.screenshot(path=PICTURES / f"page-{name}.png")


if __name__ == "__main__":
    sys.exit(main())
