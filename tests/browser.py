"""A real browser for tests: headless Chromium, driven by Playwright. Without either, tests say so and are left out."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import missing, require

if TYPE_CHECKING:
    from collections.abc import Iterator

Browser = Any
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium once for all tests of a process."""
    api = require("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        missing("Chromium is not installed")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        yield chromium
        chromium.close()
