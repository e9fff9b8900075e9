"""How much memory this process has, and had at its peak, as the kernel counts it: within about 0.1 MB a CPU."""

from __future__ import annotations

import os
import re
from pathlib import Path

# Blocks of this size or more go back to the system when they are freed: no call lives on an earlier one's memory.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}

_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def is_told() -> bool:
    """Return whether this system tells a process's peak and lets it start anew."""
    return os.access(_CLEAR_REFS, os.W_OK)


def forget_peak() -> None:
    """Let the peak start anew, from what is resident now."""
    _CLEAR_REFS.write_text(_RESET_PEAK)


def resident() -> int:
    """Return the bytes that are resident."""
    return _counter("VmRSS")


def peak() -> int:
    """Return the most bytes that were resident at once since the last `forget_peak`."""
    return _counter("VmHWM")


def _counter(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)[0]) * 1024
