"""Headless Chromium, where Playwright and a browser are installed."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .outcomes import missing, require
from .processes import HANG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUIET = (
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
)
"""What keeps Chromium from asking the network for anything of its own."""


class Patient:
    """A browser whose pages wait for anything as long as it takes, short of hanging.

    Parameters
    ----------
    browser : Browser
        Playwright's, whose pages give up after 30 seconds.
    """

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    def new_context(self, **options: Any) -> Any:
        """Return a context, as Playwright's browser does."""
        context = self._browser.new_context(**options)
        context.set_default_timeout(1000 * HANG_SECONDS)
        return context

    def new_page(self) -> Any:
        """Return a page in a context of its own, which closes with it, as Playwright's browser does."""
        page = self._browser.new_page()
        page.set_default_timeout(1000 * HANG_SECONDS)
        return page


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a browser for the block; see `missing` for when there is none."""
    api = require("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        missing("Chromium is not installed")
    with api.sync_playwright() as playwright:
        arguments = [f"--{name}" for name in _QUIET]
        started = playwright.chromium.launch(executable_path=path, args=arguments, timeout=1000 * HANG_SECONDS)
        yield Patient(started)
        started.close()
