"""A real Chromium without a window, for the tests of pages; what it was asked to load, and what it complained of."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Browser:
    """One page at a time, in a window of any size."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, page: Path, width: int = 1280, dark: bool = False, medium: str = "") -> None:
        """Show a page, and wait until its scripts are done."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.command("Emulation.setEmulatedMedia", media=medium, features=features)
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        self.log()
        self.requests()
        self.driver.get(page.as_uri())
        charts = "return document.querySelectorAll('.chart').length == document.querySelectorAll('.chart svg').length"
        WebDriverWait(self.driver, 30).until(lambda _: self.run(charts))

    def unfold(self) -> None:
        """Open all that is folded, and wait for what is drawn anew."""
        self.run("for (const part of document.querySelectorAll('details')) part.open = true")
        self.run("return new Promise(done => setTimeout(done, 300))")

    def command(self, name: str, **values: Any) -> Any:
        """A command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, values)

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of some JavaScript."""
        return self.driver.execute_script(script, *arguments)

    def log(self) -> list[str]:
        """What stood on the console since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses that the page asked for since the last time, but for its own; what it holds itself has none."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [entry["params"] for entry in messages if entry["method"] == "Network.requestWillBeSent"]
        urls = [one["request"]["url"] for one in sent if one.get("type") != "Document"]
        return [url for url in urls if not url.startswith("data:")]

    def print(self) -> bytes:
        """The page as a PDF file."""
        return base64.b64decode(self.command("Page.printToPDF")["data"])


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Skips the test where there is no Chromium; fails with one that may not see a page in `folder`."""
    program = next((path for name in _NAMES if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
    options = Options()
    options.binary_location = program
    for argument in ("--headless=new", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,800"):
        options.add_argument(argument)
    options.add_argument("--no-sandbox")  # root and some containers cannot have one; the pages are ours
    options.add_argument("--disable-dev-shm-usage")  # Docker's /dev/shm has 64 MB
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        _check_sees(browser, folder / "probe.html")
        yield Browser(browser)
    finally:
        browser.quit()


def _check_sees(browser: webdriver.Chrome, page: Path) -> None:
    """Fails if no title of a page in that place comes up: a Chromium from a snap has a /tmp of its own."""
    page.write_text("<!doctype html><title>seen</title>")
    try:
        browser.get(page.as_uri())
        found = browser.title
    except WebDriverException as error:
        found = error.msg
    if found != "seen":
        pytest.fail(f"Chromium should see {page.parent} (one from a snap does not; set TMPDIR). Found: {found}")
