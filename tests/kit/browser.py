"""Headless Chromium, where Playwright and a browser are installed."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .outcomes import missing, require

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


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a browser for the block; see `missing` for when there is none."""
    api = require("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        missing("Chromium is not installed")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=[f"--{name}" for name in _QUIET])
        yield started
        started.close()
