"""Plain text tables, and what stands above them."""

from __future__ import annotations

import math
import os
import platform
import re
from datetime import date
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
    """Return one line about the day, Python, the processor, and what libraries are told to see in it."""
    cpus = len(usable_cpus())
    held = "".join(f", {name}={os.environ[name]}" for name in _HELD if os.environ.get(name))
    return (
        f"{date.today()}, Python {platform.python_version()}, {_processor()}, {cpus} CPU{'s' if cpus > 1 else ''}{held}"
    )


def _processor() -> str:
    """Return the name, with the numbers that tell generations apart which are sold under one name."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text("utf-8") if information.exists() else ""
    name, family, model = (
        re.search(rf"^{key}\s*:\s*(.+)$", lines, re.MULTILINE) for key in ("model name", "cpu family", "model")
    )
    if not name:
        return platform.processor() or platform.machine()
    return f"{name[1]} (family {family[1]}, model {model[1]})" if family and model else name[1]
