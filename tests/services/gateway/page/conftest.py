"""The page in a real browser, whose microphone is a file: somebody says "tea"."""

from __future__ import annotations

import io
import re
import shutil
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wordspot.indexer.sound.audio import write_wav

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
TIMEOUT_MS = 30_000
POLL_MS = 50
WIDTH, HEIGHT = 1280, 900
MICROPHONE_RATE = 48_000
AUTHOR = "An De Smet"

# What a page would tell only the person in front of it: violations of the policy, and which sound it plays.
WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
window.played = [];
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () {
  window.sounding = this;
  window.played.push({ source: this.currentSrc || this.src, from: this.currentTime });
  return play.call(this);
};
"""


@dataclass
class Seen:
    """A page, and what must not happen on it.

    foreign: requests to anything but its server. errors: of scripts, and what the console says of them.
    """

    page: Any
    url: str
    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open(self, place: str = "") -> Seen:
        self.page.goto(f"{self.url}/#/{place}")
        return self

    def button(self, name: str | re.Pattern[str], **options: Any) -> Any:
        return self.page.get_by_role("button", name=name, **options)

    def hits(self) -> Any:
        return self.page.locator("li.hit")

    def until(self, expression: str) -> None:
        """Waits until an expression holds; the page's policy forbids scripts of texts, so it is asked for."""
        end = time.monotonic() + TIMEOUT_MS / 1000
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            self.page.wait_for_timeout(POLL_MS)

    def judge_as(self, author: str = AUTHOR) -> None:
        """Has the name of who judges known, as after the first verdict."""
        self.page.evaluate("author => localStorage.setItem('wordspot.author', author)", author)
        self.page.reload()

    def check(self) -> None:
        """Raises AssertionError where the page did what it must not."""
        assert self.foreign == []
        assert self.errors == []
        assert self.page.evaluate("window.violations") == []


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory, say: Any) -> Path:
    """The file that the browser hears instead of a microphone."""
    path = tmp_path_factory.mktemp("microphone") / "tea.wav"
    samples = np.repeat(say("tea", pause=1.0, voice=9), MICROPHONE_RATE // 16_000)
    path.write_bytes(write_wav(samples, MICROPHONE_RATE))
    return path


@pytest.fixture(scope="module")
def browser(microphone: Path) -> Iterator[Any]:
    if not Path(CHROMIUM).exists():
        pytest.skip("needs Debian's chromium: make debian")
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the extra dev")
    arguments = [
        "--no-sandbox",  # for a container's root
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}%noloop",
    ]
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any, served: Any) -> Iterator[Callable[..., Seen]]:
    """Opens pages, each as another person's; looks afterwards at what they did."""
    with ExitStack() as closing:
        seen: list[Seen] = []

        def open_page(context: Any = None, **options: Any) -> Seen:
            if context is None:
                defaults: dict[str, Any] = {
                    "viewport": {"width": WIDTH, "height": HEIGHT},
                    "locale": "en-US",
                    "accept_downloads": True,
                }
                context = browser.new_context(**(defaults | options))
                closing.callback(context.close)
                context.set_default_timeout(TIMEOUT_MS)
                context.add_init_script(WATCH)
            page = context.new_page()
            one = Seen(page, served.url)
            page.on("request", lambda request: _note_request(one, request.url))
            page.on("pageerror", lambda error: one.errors.append(str(error)))
            seen.append(one)
            return one

        yield open_page
        for one in seen:
            one.check()


def _note_request(seen: Seen, url: str) -> None:
    if not url.startswith((f"{seen.url}/", "data:", f"blob:{seen.url}")):
        seen.foreign.append(url)


@pytest.fixture
def samples_of() -> Callable[[bytes], tuple[np.ndarray, int]]:
    """Returns the 16-bit samples of a WAV file and their rate."""

    def read(content: bytes) -> tuple[np.ndarray, int]:
        with wave.open(io.BytesIO(content)) as file:
            assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
            return np.frombuffer(file.readframes(file.getnframes()), np.int16), file.getframerate()

    return read
