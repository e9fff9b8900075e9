"""Running a test's body in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def run_alone(module: str, call: str) -> None:
    """Run a function of this folder in a process of its own; its last words must be that it went well."""
    code = f"import tests.{module}; tests.{module}.{call}"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    last = done.stdout.splitlines()[-1:]
    assert (done.returncode, last) == (0, ["every byte in its place"]), done.stderr
