"""Plain text tables, and what stands above them."""

from __future__ import annotations

import math
import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

from .processes import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


NOTHING = "–"
"""In a cell that has no number."""
_HELD = ("IM2COL_TARGET", "ONEDNN_MAX_CPU_ISA")
"""Variables that hold libraries to a part of the processor's instructions."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as text: the first column to the left, numbers to the right.

    Parameters
    ----------
    header : sequence of str
    rows : iterable of sequence of str
        Each as long as `header`.

    Returns
    -------
    str
    """
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    text.insert(1, "-" * len(text[0]))
    return "\n".join(text)


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive numbers."""
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def machine() -> str:
    """Return one line about Python, the processor, and what libraries are told to see in it."""
    cpus = len(usable_cpus())
    held = "".join(f", {name}={os.environ[name]}" for name in _HELD if os.environ.get(name))
    return f"Python {platform.python_version()}, {_processor()}, {cpus} CPU{'s' if cpus > 1 else ''}{held}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        model = re.search(r"^model name\s*:\s*(.+)$", information.read_text(), re.MULTILINE)
        if model:
            return model[1]
    return platform.processor() or platform.machine()
