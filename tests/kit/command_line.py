"""The command line in tests: run in this process, and broken off in another."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import typer

from im2col.cli import main
from im2col.cli.commands import app

from .processes import HANG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # of a group


class Result(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


def runner(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Return what runs a command in this process."""

    def run(*arguments: object) -> Result:
        status = main([str(argument) for argument in arguments])
        return Result(status, *capsys.readouterr())

    return run


def said(line: str) -> str:
    """Return what stands on standard error of a line, which begins with the command's name if it is its own."""
    own = line.partition(": ")[0] in COMMANDS
    return f"im2col{' ' if own else ': '}{line}\n"


def fails(result: Result, line: str) -> None:
    """Assert that a command failed with exactly this line."""
    assert result == Result(2, "", said(line))


def broken_off(folder: Path, name: str, before: str) -> tuple[int, bytes, bytes]:
    """Return the status and the output of a command that gets a signal while it writes a file; no part of that stays.

    Parameters
    ----------
    folder : Path
        An empty one, in which it works.
    name : str
        The signal's.
    before : str
        How the process takes the signal when it starts, in Python: whatever started the tests may ignore it.
    """
    np.save(folder / "x.npy", np.zeros((400, 400), np.uint8))
    started = folder / "started"
    code = (
        "import signal, sys, threading, pathlib, im2col.matrix_file as m, im2col.cli\n"
        f"signal.signal(signal.{name}, {before})\n"
        "blocks = m._blocks\n"
        "def slow(*arguments):\n"
        "    for block in blocks(*arguments):\n"
        "        yield block\n"
        f"        pathlib.Path({str(started)!r}).touch()\n"
        f"        threading.Event().wait({HANG_SECONDS})\n"
        "m._blocks = slow\n"
        "sys.exit(im2col.cli.main(sys.argv[1:]))\n"
    )
    arguments = ["matrix", "x.npy", "--kernel-size", "9", "-o", "cols.npy"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        while not started.exists():
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(getattr(signal, name))
        out, err = running.communicate(timeout=HANG_SECONDS)
    assert sorted(path.name for path in folder.iterdir()) == ["started", "x.npy"]
    return running.returncode, out, err
