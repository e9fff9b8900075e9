"""The progress bar of the commands that may take long."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..files import Progress

_LONG = 1.0
"""Seconds after which work is long enough for a progress bar."""
_TERMINALS = ("FORCE_COLOR", "TTY_COMPATIBLE")
"""Variables that have rich take what is none for a terminal."""


@contextmanager
def progress_bar(label: str) -> Iterator[Progress | None]:
    """Yield what shows the progress of long work on a terminal; None where standard error is none."""
    if not (sys.stderr and sys.stderr.isatty()) and not any(name in os.environ for name in _TERMINALS):
        yield None  # without a look at rich, which takes its time and memory
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    bar = Bar(console=console, transient=True)
    task = bar.add_task(label)
    start = time.perf_counter()

    def progress(done: int, total: int) -> None:
        if time.perf_counter() - start > _LONG:
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield progress
    finally:
        bar.stop()
