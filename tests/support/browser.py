"""A real Chromium, driven by Playwright, that talks to loopback only."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def executable() -> str | None:
    """The Chromium of this machine: COURIERWEB_TEST_CHROMIUM, else one on the PATH."""
    names = (os.environ.get("COURIERWEB_TEST_CHROMIUM", ""), "chromium", "chromium-browser")
    return next((path for name in names if name and (path := shutil.which(name))), None)


@contextmanager
def open_page(width: int = 1280, height: int = 900) -> Iterator[Page]:
    """A fresh page without cookies. Errors of its scripts are gathered in `page.script_errors`."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        page = chromium.new_page(viewport={"width": width, "height": height})
        page.script_errors = []
        page.on("pageerror", lambda error: page.script_errors.append(str(error)))
        page.on(
            "console",
            lambda message: (
                page.script_errors.append(message.text) if message.type == "error" else None
            ),
        )
        try:
            yield page
        finally:
            chromium.close()


def overflow(page: Page) -> int:
    """How many pixels the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
