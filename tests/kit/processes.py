"""Running a test's body in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
HANG_SECONDS = 900
"""What takes this long never ends: a hundred times what any part of a test takes on an idle machine."""


def run_alone(module: str, call: str) -> None:
    """Run a function of this folder in a process of its own; its last words must be that it went well."""
    code = f"from tests.{module} import *; {call}"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
    last = done.stdout.splitlines()[-1:]
    assert (done.returncode, last) == (0, ["every byte in its place"]), done.stderr
